#include "evaluate/contamination.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "reflect/base/hash.h"

namespace reflect {
namespace {

constexpr std::size_t kGramWords = 13;

// Bytes beyond ASCII count as letters, so that every script has words.
bool is_word_byte(unsigned char c) {
  return std::isalnum(c) || c >= 0x80;
}

// The words joined by single spaces, with the place where each begins.
struct Words {
  std::string text;
  std::vector<std::size_t> begin;

  explicit Words(std::string_view source) {
    bool in_word = false;
    for (const char c : source) {
      const bool word = is_word_byte(static_cast<unsigned char>(c));
      if (word && !in_word) {
        if (!text.empty()) text += ' ';
        begin.push_back(text.size());
      }
      if (word) text += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      in_word = word;
    }
  }

  // `count` words from the one numbered `first`.
  std::string_view gram(std::size_t first, std::size_t count) const {
    const std::size_t end = first + count < begin.size() ? begin[first + count] - 1 : text.size();
    return std::string_view(text).substr(begin[first], end - begin[first]);
  }
};

// Which problems have an n-gram of words, by its hash. Most have n = 13; shorter problems are one
// n-gram as a whole.
class GramIndex {
 public:
  explicit GramIndex(const std::vector<Problem>& problems) : found_(problems.size(), false) {
    for (std::size_t p = 0; p < problems.size(); ++p) {
      const Words words(problems[p].prompt());
      const std::size_t n = std::min(kGramWords, words.begin.size());
      if (n == 0) continue;
      auto& grams = problems_of_gram_[n];
      for (std::size_t i = 0; i + n <= words.begin.size(); ++i) {
        grams[content_hash64(words.gram(i, n))].push_back(p);
      }
    }
  }

  void look_into(std::string_view text) {
    const Words words(text);
    for (const auto& [n, grams] : problems_of_gram_) {
      for (std::size_t i = 0; i + n <= words.begin.size(); ++i) {
        const auto hit = grams.find(content_hash64(words.gram(i, n)));
        if (hit == grams.end()) continue;
        for (const std::size_t problem : hit->second) found_[problem] = true;
      }
    }
  }

  bool found(std::size_t problem) const { return found_[problem]; }

 private:
  std::map<std::size_t, std::unordered_map<std::uint64_t, std::vector<std::size_t>>>
      problems_of_gram_;
  std::vector<bool> found_;
};

}  // namespace

Contamination measure_contamination(const std::vector<Problem>& problems,
                                    const std::string& train_rows) {
  Contamination result;
  result.train_rows = train_rows;
  GramIndex index(problems);
  std::unordered_set<std::uint64_t> train_prompts;
  RecordReader reader(train_rows);
  while (const std::optional<Record> record = reader.next()) {
    ++result.rows;
    for (const Message& message : record->messages) {
      if (message.role == "system") continue;
      index.look_into(message.content);
      train_prompts.insert(content_hash64(Words(message.content).text));
    }
    index.look_into(record->response);
  }
  for (std::size_t p = 0; p < problems.size(); ++p) {
    if (train_prompts.contains(content_hash64(Words(problems[p].prompt()).text))) {
      result.exact.push_back(problems[p].id);
    } else if (index.found(p)) {
      result.partial.push_back(problems[p].id);
    }
  }
  return result;
}

}  // namespace reflect
