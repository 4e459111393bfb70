#include "reflect/data/ngram.h"

#include <algorithm>
#include <array>
#include <bit>

#include "data/unicode.h"
#include "data/utf8.h"
#include "reflect/base/hash.h"

namespace reflect {
namespace {

// Lower case of ASCII letters and digits; 0 for the rest of ASCII, 1 for bytes of other characters.
constexpr char kSeparator = 0, kBeyondAscii = 1;
constexpr std::array<char, 256> kAscii = [] {
  std::array<char, 256> table{};
  for (int c = 0; c < 256; ++c) {
    if (c >= 0x80) table[c] = kBeyondAscii;
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')) table[c] = static_cast<char>(c);
    if (c >= 'A' && c <= 'Z') table[c] = static_cast<char>(c - 'A' + 'a');
  }
  return table;
}();

char ascii_class(char c) {
  return kAscii[static_cast<unsigned char>(c)];
}

// Letters of scripts that write no spaces between words.
bool stands_alone(char32_t c) {
  struct Range {
    char32_t first, last;
  };
  constexpr Range kRanges[] = {
      {0x0E00, 0x0EFF},    // Thai, Lao
      {0x1000, 0x109F},    // Myanmar
      {0x1780, 0x17FF},    // Khmer
      {0x3005, 0x3007},    // iteration mark, closing mark, zero
      {0x3021, 0x3029},    // Hangzhou numerals
      {0x3040, 0x30FF},    // Hiragana, Katakana
      {0x31F0, 0x31FF},    // Katakana extensions
      {0x3400, 0x4DBF},    // Han, extension A
      {0x4E00, 0x9FFF},    // Han
      {0xF900, 0xFAFF},    // Han, compatibility
      {0x20000, 0x3FFFF},  // Han, further extensions
  };
  return c >= kRanges[0].first && std::any_of(std::begin(kRanges), std::end(kRanges),
                                              [&](Range r) { return c >= r.first && c <= r.last; });
}

// The finaliser of MurmurHash3: every bit of the sum reaches every bit of the hash.
std::uint64_t finalised(std::uint64_t h) {
  h = (h ^ (h >> 33)) * 0xff51afd7ed558ccd;
  h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53;
  return h ^ (h >> 33);
}

}  // namespace

Words::Words(std::string_view text) {
  text_.reserve(text.size() + 1);
  for (std::size_t at = 0; at < text.size();) {
    if (ascii_class(text[at]) == kSeparator) {
      ++at;
      continue;
    }
    const std::size_t begin = at;
    bool ascii = true;
    for (; at < text.size() && ascii_class(text[at]) != kSeparator; ++at)
      ascii = ascii && ascii_class(text[at]) != kBeyondAscii;
    if (!ascii) {
      add_normalised(text.substr(begin, at - begin));
      continue;
    }
    begin_word();
    for (std::size_t i = begin; i < at; ++i) text_ += ascii_class(text[i]);
    end_word();
  }
}

void Words::add_normalised(std::string_view piece) {
  bool in_word = false, alone = false;  // inside a word; it is one letter of its own
  const auto end = [&] {
    if (in_word) end_word();
    in_word = alone = false;
  };
  while (!piece.empty()) {
    const std::size_t valid = valid_prefix(piece);
    const std::string folded = casefolded(piece.substr(0, valid));
    for (std::string_view rest = folded; !rest.empty();) {
      const Utf8Character character = first_character(rest);
      const WordPart part = word_part(character.code_point);
      const bool letter_alone = part == WordPart::kLetter && stands_alone(character.code_point);
      if (part == WordPart::kNone || letter_alone || (alone && part == WordPart::kLetter)) end();
      if (part != WordPart::kNone) {
        if (!in_word) begin_word();
        in_word = true;
        alone = alone || letter_alone;
        text_.append(rest.substr(0, character.length));
      }
      rest.remove_prefix(character.length);
    }
    piece.remove_prefix(valid);
    if (piece.empty()) break;
    end();
    piece.remove_prefix(first_character(piece).length);
  }
  end();
}

void Words::begin_word() {
  if (!text_.empty()) text_ += ' ';
  begins_.push_back(static_cast<std::uint32_t>(text_.size()));
}

void Words::end_word() {
  hashes_.push_back(content_hash64(std::string_view(text_).substr(begins_.back())));
}

std::string_view Words::gram(std::size_t first, std::size_t count) const {
  const std::size_t end = first + count < size() ? begins_[first + count] - 1 : text_.size();
  return std::string_view(text_).substr(begins_[first], end - begins_[first]);
}

// A rolling polynomial over the words' hashes (Karp and Rabin 1987), modulo 2^64.
std::vector<std::uint64_t> Words::gram_hashes(std::size_t n) const {
  std::vector<std::uint64_t> grams;
  if (size() < n) return grams;
  grams.reserve(size() - n + 1);
  constexpr std::uint64_t kBase = 0x9e3779b97f4a7c15;
  std::uint64_t leading = 1, sum = 0;  // leading: the factor of the word that leaves
  for (std::size_t i = 0; i < n; ++i) leading *= kBase;
  for (std::size_t i = 0; i < size(); ++i) {
    sum = sum * kBase + hashes_[i];
    if (i >= n) sum -= hashes_[i - n] * leading;
    if (i + 1 >= n) grams.push_back(finalised(sum));
  }
  return grams;
}

std::size_t GramIndex::add(std::uint32_t text, const Words& words) {
  const std::vector<std::uint64_t> hashes = words.gram_hashes(n_);
  const auto begin = static_cast<std::ptrdiff_t>(places_.size());
  for (std::size_t i = 0; i < hashes.size(); ++i)
    places_.push_back({hashes[i], text, static_cast<std::uint32_t>(i)});
  const auto from = places_.begin() + begin;
  std::stable_sort(from, places_.end(),
                   [](const Place& a, const Place& b) { return a.hash < b.hash; });
  places_.erase(std::unique(from, places_.end(),
                            [](const Place& a, const Place& b) { return a.hash == b.hash; }),
                places_.end());
  return places_.size() - static_cast<std::size_t>(begin);
}

void GramIndex::finish() {
  std::sort(places_.begin(), places_.end(), [](const Place& a, const Place& b) {
    return a.hash != b.hash ? a.hash < b.hash : a.text < b.text;
  });
  places_.shrink_to_fit();
  // 16 bits a place, so that most n-grams which occur nowhere cost one look.
  const int bits = std::max(10, static_cast<int>(std::bit_width(places_.size() * 16)));
  filter_shift_ = 64 - bits;
  filter_.assign((std::size_t{1} << bits) / 64, 0);
  for (const Place& place : places_) {
    const std::uint64_t bit = filter_bit(place.hash);
    filter_[bit / 64] |= std::uint64_t{1} << bit % 64;
  }
}

std::span<const GramIndex::Place> GramIndex::find(std::uint64_t hash) const {
  const std::uint64_t bit = filter_bit(hash);
  if ((filter_[bit / 64] >> bit % 64 & 1) == 0) return {};
  const auto by_hash = [](const Place& place, std::uint64_t h) { return place.hash < h; };
  const auto first = std::lower_bound(places_.begin(), places_.end(), hash, by_hash);
  auto last = first;
  while (last != places_.end() && last->hash == hash) ++last;
  return {first, last};
}

}  // namespace reflect
