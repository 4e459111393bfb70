// Words of a text, normalised, and its n-grams: what near-duplicate search and the checks for test
// problems in training rows compare.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace reflect {

// The text is cut at ASCII characters that are neither letter nor digit; each piece takes Unicode's
// NFKC_Casefold form (compatibility forms, upper case and invisible characters do not count); a
// word is a maximal run of its letters, marks and numbers. In scripts that write no spaces (Han,
// kana, Thai, Lao, Myanmar, Khmer) every letter is a word, with the marks that follow it.
// Ill-formed UTF-8 separates words.
class Words {
 public:
  explicit Words(std::string_view text);

  std::size_t size() const { return begins_.size(); }
  const std::string& text() const { return text_; }  // the words, one space between them
  // `count` words from the one numbered `first`; they must be there.
  std::string_view gram(std::size_t first, std::size_t count) const;
  // A 64-bit hash of the n words from each place on, [size() - n + 1]; none when there are fewer
  // words. n is at least 1.
  std::vector<std::uint64_t> gram_hashes(std::size_t n) const;

 private:
  void add_normalised(std::string_view piece);
  void begin_word();
  void end_word();

  std::string text_;
  std::vector<std::uint32_t> begins_;  // of each word in text_
  std::vector<std::uint64_t> hashes_;  // of each word
};

// Which texts hold an n-gram, and where.
class GramIndex {
 public:
  struct Place {
    std::uint64_t hash;
    std::uint32_t text;  // the number that it was added under
    std::uint32_t word;  // of the n-gram's first occurrence in the text
  };

  explicit GramIndex(std::size_t n) : n_(n) {}
  std::size_t n() const { return n_; }

  // Each distinct n-gram of the words; returns how many there are.
  std::size_t add(std::uint32_t text, const Words& words);
  // To be called once, after the last add and before the first find.
  void finish();
  // Places of the n-gram with this hash, by text number.
  std::span<const Place> find(std::uint64_t hash) const;

 private:
  std::uint64_t filter_bit(std::uint64_t hash) const { return hash >> filter_shift_; }

  std::size_t n_;
  std::vector<Place> places_;          // sorted by hash, then text
  std::vector<std::uint64_t> filter_;  // a bit for each hash prefix that occurs
  int filter_shift_ = 0;
};

}  // namespace reflect
