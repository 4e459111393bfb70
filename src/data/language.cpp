#include "reflect/data/language.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "data/unicode.h"
#include "data/utf8.h"
#include "reflect/base/error.h"

namespace reflect {
namespace {

constexpr std::int64_t kLeast = 8;      // words or letters
constexpr std::int64_t kLeastHits = 3;  // common words
constexpr double kShareOfScript = 0.5;  // of all letters
constexpr double kShareOfKana = 0.05;   // of Japanese letters
constexpr double kAhead = 1.5;          // hits of the likeliest language over the next

enum Script {
  kLatin,
  kGreek,
  kCyrillic,
  kHebrew,
  kArabic,
  kDevanagari,
  kThai,
  kHangul,
  kKana,
  kHan,
  kScripts
};

struct ScriptRange {
  char32_t first, last;
  Script script;
};

constexpr std::array<ScriptRange, 20> kScriptRanges = {{
    {0x41, 0x5A, kLatin},      {0x61, 0x7A, kLatin},        {0xC0, 0x24F, kLatin},
    {0x370, 0x3FF, kGreek},    {0x1F00, 0x1FFF, kGreek},    {0x400, 0x52F, kCyrillic},
    {0x590, 0x5FF, kHebrew},   {0x600, 0x6FF, kArabic},     {0x750, 0x77F, kArabic},
    {0xFB50, 0xFDFF, kArabic}, {0x900, 0x97F, kDevanagari}, {0xE00, 0xE7F, kThai},
    {0x1100, 0x11FF, kHangul}, {0xAC00, 0xD7AF, kHangul},   {0x1E00, 0x1EFF, kLatin},
    {0x3040, 0x30FF, kKana},   {0x31F0, 0x31FF, kKana},     {0x3400, 0x4DBF, kHan},
    {0x4E00, 0x9FFF, kHan},    {0x20000, 0x2FA1F, kHan},
}};

struct CommonWords {
  std::string_view language;
  std::string_view words;  // a space before and behind each
};

// Words that are frequent in one of these languages and rare in the others.
constexpr std::array<CommonWords, 10> kCommon = {{
    {"en",
     " the and of to is was that for it with as are this which by be have from not you we "
     "they his has so but or there then what each how she were first than them "},
    {"de",
     " der die das und ist nicht von mit den dem ein eine zu auf für sich des auch wird als wir "
     "sind oder aber wenn nur noch wie ich es er sie haben hat bei zum zur also jeder "},
    {"fr",
     " le la les et est des une du que qui dans pour pas sur avec il elle nous vous ce cette "
     "sont ou mais donc par au aux plus ont être chaque combien alors ne se "},
    {"es",
     " el los las y es del una que por con para no se su como más pero son está cada cuántos "
     "entonces sus al lo hay tiene porque cuando muy también ser "},
    {"it",
     " il gli di e è che un una per non con del della sono si nel alla ma come più ogni quanti "
     "quindi ha hanno anche perché questo essere le dei "},
    {"pt",
     " o os as e é do da dos das que um uma para não com em no na se por mais como mas são cada "
     "quantos então tem foi também seu ao isso "},
    {"nl",
     " de het een en van is dat niet op te voor met zijn aan hij ze er maar om ook als dan "
     "worden heeft elke hoeveel dus naar bij deze wordt nog "},
    {"pl",
     " i w nie na się że jest z do to jak ale za od o ma są po co przez więc każdy ile tego "
     "czy był oraz tylko może już dla "},
    {"sv",
     " och att det som en är på av för med den inte till har om ett men var jag så från vi kan "
     "när hur många varje de eller alla "},
    {"tr",
     " ve bir bu da de için ile ne çok daha olarak gibi kadar var olan her kaç ama sonra değil "
     "ise mi o toplam ki "},
}};

struct Letters {
  std::array<std::int64_t, kScripts> of_script{};
  std::int64_t all = 0;
  std::int64_t ukrainian = 0, persian = 0;

  void add(char32_t c) {
    const auto range = std::ranges::find_if(
        kScriptRanges, [c](const ScriptRange& each) { return each.first <= c && c <= each.last; });
    if (range == kScriptRanges.end() || word_part(c) != WordPart::kLetter) return;
    ++all;
    ++of_script[range->script];
    constexpr std::u32string_view of_ukrainian = U"іїєґІЇЄҐ";
    constexpr std::u32string_view of_persian = U"پچژگ";
    if (of_ukrainian.find(c) != of_ukrainian.npos) ++ukrainian;
    if (of_persian.find(c) != of_persian.npos) ++persian;
  }

  std::int64_t japanese() const { return of_script[kKana] + of_script[kHan]; }
};

Letters letters_in(std::string_view text) {
  Letters letters;
  while (!text.empty()) {
    const Utf8Character character = first_character(text);
    if (character.valid) letters.add(character.code_point);
    text.remove_prefix(character.length);
  }
  return letters;
}

std::optional<std::string_view> by_letters(const Letters& letters) {
  const auto most = [&](std::int64_t count) {
    return count >= kLeast &&
           static_cast<double>(count) >= kShareOfScript * static_cast<double>(letters.all);
  };
  constexpr std::array<std::pair<Script, std::string_view>, 5> own = {
      {{kGreek, "el"}, {kHebrew, "he"}, {kDevanagari, "hi"}, {kThai, "th"}, {kHangul, "ko"}}};
  for (const auto& [script, language] : own) {
    if (most(letters.of_script[script])) return language;
  }
  if (most(letters.of_script[kCyrillic])) return letters.ukrainian > 0 ? "uk" : "ru";
  if (most(letters.of_script[kArabic])) return letters.persian > 0 ? "fa" : "ar";
  if (!most(letters.japanese())) return std::nullopt;
  const double kana = static_cast<double>(letters.of_script[kKana]);
  return kana >= kShareOfKana * static_cast<double>(letters.japanese()) ? "ja" : "zh";
}

// Runs of letters, small ones.
std::vector<std::string> words_in(std::string_view text) {
  std::vector<std::string> words(1);
  while (!text.empty()) {
    const Utf8Character character = first_character(text);
    if (character.valid && word_part(character.code_point) != WordPart::kNone &&
        !(character.code_point >= '0' && character.code_point <= '9')) {
      words.back() += text.substr(0, character.length);
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
    text.remove_prefix(character.length);
  }
  if (words.back().empty()) words.pop_back();
  for (std::string& word : words) word = casefolded(word);
  return words;
}

std::optional<std::string_view> by_words(std::string_view text) {
  const std::vector<std::string> words = words_in(text);
  if (static_cast<std::int64_t>(words.size()) < kLeast) return std::nullopt;
  std::array<std::int64_t, kCommon.size()> hits{};
  for (const std::string& word : words) {
    if (word.size() == 1) continue;  // variables
    const std::string padded = fmt::format(" {} ", word);
    for (std::size_t i = 0; i < kCommon.size(); ++i) {
      if (kCommon[i].words.find(padded) != std::string_view::npos) ++hits[i];
    }
  }
  const auto best = std::ranges::max_element(hits);
  const std::int64_t most = *best;
  const auto language = kCommon[static_cast<std::size_t>(best - hits.begin())].language;
  *best = 0;
  const std::int64_t next = *std::ranges::max_element(hits);
  const bool clear = static_cast<double>(most) >= kAhead * static_cast<double>(next);
  return most >= kLeastHits && clear ? std::optional(language) : std::nullopt;
}

}  // namespace

const std::vector<std::string_view>& language_codes() {
  static const std::vector<std::string_view> codes = [] {
    std::vector<std::string_view> all = {"ar", "el", "fa", "he", "hi", "ja",
                                         "ko", "ru", "th", "uk", "zh"};
    for (const CommonWords& each : kCommon) all.push_back(each.language);
    std::ranges::sort(all);
    return all;
  }();
  return codes;
}

std::optional<std::string_view> language_of(std::string_view text) {
  const Letters letters = letters_in(text);
  if (const auto language = by_letters(letters)) return language;
  const bool latin = static_cast<double>(letters.of_script[kLatin]) >=
                     kShareOfScript * static_cast<double>(letters.all);
  return latin ? by_words(text) : std::nullopt;
}

}  // namespace reflect
