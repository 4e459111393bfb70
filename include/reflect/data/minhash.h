// Near duplicates among many texts: MinHash signatures find candidates by banding (LSH), and the
// Jaccard similarity of their sets of word n-grams decides (Broder 1997; Leskovec, Rajaraman,
// Ullman, Mining of Massive Datasets, chapter 3).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "reflect/data/ngram.h"

namespace reflect {

// Hashes of a text's distinct n-grams, sorted. 32 bits: two sets of 500 share an element by chance
// once in 17,000 pairs.
using ShingleSet = std::vector<std::uint32_t>;

// A text of fewer than `n` words is one shingle as a whole; one without words has none.
ShingleSet shingles(const Words& words, std::size_t n);

// |a and b| / |a or b|; 0 when both are empty.
double jaccard(const ShingleSet& a, const ShingleSet& b);

inline constexpr std::size_t kMinHashes = 128;
using Signature = std::array<std::uint32_t, kMinHashes>;

// kMinHashes permutations of the 32-bit numbers, drawn by the seed, and the least element of a set
// under each. Two sets agree in a place with the probability of their Jaccard similarity.
class MinHash {
 public:
  explicit MinHash(std::uint64_t seed);
  Signature signature(const ShingleSet& set) const;

 private:
  Signature multiply_, add_;
};

// The share of places that agree; standard error sqrt(j (1 - j) / kMinHashes).
double estimated_jaccard(const Signature& a, const Signature& b);

// Signatures cut into bands of `rows` places: a pair is a candidate when one band agrees.
struct LshBands {
  std::size_t bands, rows;
  double recall(double similarity) const;  // 1 - (1 - s^rows)^bands
};

// The longest bands (so the fewest false candidates) that find a pair of this similarity with at
// least this probability.
LshBands lsh_bands(double similarity, double recall);

struct NearDuplicateConfig {
  std::size_t shingle_words = 5;
  double lowest_threshold = 0.8;  // of any later search; above 0, at most 1
  double recall = 0.999;          // of a pair at that threshold
  std::uint64_t seed = 0;
};

// Texts that come one after another: each is compared with those that were kept before it. What is
// found depends on their order and nothing else. Memory: 4 bytes a distinct shingle of a kept text
// and at most 28 a band.
class NearDuplicateFilter {
 public:
  // The threshold is config.lowest_threshold.
  explicit NearDuplicateFilter(const NearDuplicateConfig& config);
  ~NearDuplicateFilter();
  NearDuplicateFilter(NearDuplicateFilter&&) noexcept;

  struct Text {
    ShingleSet set;
    std::vector<std::uint32_t> keys;  // [bands]
  };
  Text read(const Words& words) const;
  struct Match {
    std::size_t text;  // number of a kept one
    double similarity;
  };
  // A text without words repeats nothing.
  std::optional<Match> find(const Text& text) const;
  // Its number is how many were kept before it.
  void keep(Text text);
  std::size_t size() const { return sets_.size(); }
  // Keys of each text.
  std::size_t bands() const { return bands_.bands; }

 private:
  class Table;
  NearDuplicateConfig config_;
  MinHash hash_;
  LshBands bands_;
  std::vector<ShingleSet> sets_;
  std::vector<std::uint32_t> keys_;  // [texts, bands]
  std::unique_ptr<Table> table_;     // of a capacity that grows twofold
};

// Texts are numbered in the order of `add`. Memory: 4 bytes a distinct shingle and a band.
class NearDuplicates {
 public:
  explicit NearDuplicates(const NearDuplicateConfig& config);

  void add(const Words& words);
  std::size_t size() const { return sets_.size(); }

  struct Match {
    std::size_t text;  // an earlier one that stays
    double similarity;
  };
  // Takes the texts that `among` names (sorted numbers) in order: one whose similarity to an
  // earlier text that stayed is at least `threshold` is its duplicate, else it stays. One match per
  // element of `among`. `threshold` is at least config.lowest_threshold.
  std::vector<std::optional<Match>> find(const std::vector<std::size_t>& among,
                                         double threshold) const;

 private:
  NearDuplicateConfig config_;
  MinHash hash_;
  LshBands bands_;
  std::vector<ShingleSet> sets_;
  std::vector<std::uint32_t> keys_;  // [texts, bands]: a hash of each band of the signature
};

}  // namespace reflect
