#include "reflect/data/minhash.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "reflect/base/error.h"
#include "reflect/base/random.h"

namespace reflect {
namespace {

// A text of `words` words of which each is replaced with probability `noise`; `key` names the text,
// `copy` the noise.
std::string noisy(std::uint64_t key, std::uint64_t copy, std::size_t words, double noise) {
  std::string text;
  for (std::size_t i = 0; i < words; ++i) {
    Random word(1, "word", {key, i}), change(1, "noise", {key, copy, i});
    const bool replaced = change.chance(noise);
    text += "w" + std::to_string((replaced ? change : word).below(5000)) + " ";
  }
  return text;
}

ShingleSet shingles_of(const std::string& text) {
  return shingles(Words(text), 5);
}

// The duplicates by comparing every pair, in the order of NearDuplicates::find.
std::vector<bool> brute_force(const std::vector<std::string>& texts, double threshold) {
  std::vector<ShingleSet> kept;
  std::vector<bool> duplicate;
  for (const std::string& text : texts) {
    const ShingleSet set = shingles_of(text);
    bool found = false;
    for (const ShingleSet& other : kept) found = found || jaccard(set, other) >= threshold;
    duplicate.push_back(found);
    if (!found) kept.push_back(set);
  }
  return duplicate;
}

std::vector<std::size_t> all_of(std::size_t count) {
  std::vector<std::size_t> numbers(count);
  for (std::size_t i = 0; i < count; ++i) numbers[i] = i;
  return numbers;
}

}  // namespace

TEST_CASE("jaccard of shingle sets is exact") {
  CHECK(jaccard(shingles_of("a b c d e f g"), shingles_of("A, b c d e f g!")) == 1);
  CHECK(jaccard(shingles_of("a b c d e f"), shingles_of("b c d e f g")) == Approx(1.0 / 3));
  CHECK(jaccard(shingles_of("a b c d e"), shingles_of("f g h i j")) == 0);
  CHECK(jaccard({}, {}) == 0);
  CHECK(shingles_of("a b").size() == 1);  // short: one shingle as a whole
  CHECK(jaccard(shingles_of("a b"), shingles_of("a B")) == 1);
  CHECK(jaccard(shingles_of("a b"), shingles_of("a c")) == 0);
  CHECK(shingles_of("?").empty());
  CHECK(shingles_of("a b a b a b a b a b a b").size() == 2);
}

TEST_CASE("the estimate is unbiased around the exact Jaccard similarity, for every seed") {
  for (const double noise : {0.0, 0.01, 0.03, 0.08, 0.2}) {
    double sum_of_errors = 0, squares = 0;
    int pairs = 0;
    for (std::uint64_t key = 0; key < 60; ++key) {
      const MinHash hash(key % 6);
      const ShingleSet a = shingles_of(noisy(key, 0, 120, 0));
      const ShingleSet b = shingles_of(noisy(key, 1, 120, noise));
      const double exact = jaccard(a, b);
      const double deviation = std::sqrt(exact * (1 - exact) / kMinHashes);
      const double error = estimated_jaccard(hash.signature(a), hash.signature(b)) - exact;
      if (deviation == 0) {
        CHECK(error == 0);
        continue;
      }
      CHECK(std::abs(error) < 5 * deviation);
      sum_of_errors += error / deviation;
      squares += error * error / (deviation * deviation);
      ++pairs;
    }
    if (pairs < 30) continue;
    INFO("noise " << noise << ", pairs " << pairs);
    CHECK(std::abs(sum_of_errors / std::sqrt(pairs)) < 4);  // unbiased
    CHECK(squares / pairs == Approx(1).margin(0.8));        // the stated standard error
  }
}

TEST_CASE("a signature depends on the set and the seed alone") {
  const ShingleSet a = shingles_of(noisy(1, 0, 50, 0));
  CHECK(MinHash(3).signature(a) == MinHash(3).signature(a));
  CHECK(MinHash(3).signature(a) != MinHash(4).signature(a));
}

TEST_CASE("bands reach the stated recall with the longest rows that do") {
  for (const double threshold : {0.5, 0.7, 0.8, 0.9, 0.95}) {
    const LshBands bands = lsh_bands(threshold, 0.999);
    INFO(threshold << ": " << bands.bands << " bands of " << bands.rows);
    CHECK(bands.bands * bands.rows <= kMinHashes);
    CHECK(bands.recall(threshold) >= 0.999);
    const LshBands longer{kMinHashes / (bands.rows + 1), bands.rows + 1};
    CHECK(longer.recall(threshold) < 0.999);
  }
  CHECK(lsh_bands(0.8, 0.999).rows == 5);
}

TEST_CASE("near duplicates are what comparing every pair finds") {
  std::vector<std::string> texts;
  for (std::uint64_t key = 0; key < 60; ++key)
    for (std::uint64_t copy = 0; copy < 5; ++copy)
      texts.push_back(
          noisy(key, copy, 40 + 2 * key, copy == 0 ? 0 : 0.006 * static_cast<double>(copy)));
  Random(3, "order").shuffle(texts);
  texts.insert(texts.end(), {"", "...", "short text", "Short, text"});
  NearDuplicates index({.lowest_threshold = 0.7});
  for (const std::string& text : texts) index.add(Words(text));
  for (const double threshold : {0.7, 0.8, 0.9, 1.0}) {
    const auto matches = index.find(all_of(texts.size()), threshold);
    const std::vector<bool> expected = brute_force(texts, threshold);
    std::size_t duplicates = 0, different = 0;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      different += matches[i].has_value() != expected[i];
      if (!matches[i]) continue;
      ++duplicates;
      CHECK(matches[i]->text < i);
      CHECK_FALSE(matches[matches[i]->text].has_value());  // it stayed
      CHECK(matches[i]->similarity >= threshold);
      CHECK(matches[i]->similarity ==
            jaccard(shingles_of(texts[i]), shingles_of(texts[matches[i]->text])));
    }
    INFO("threshold " << threshold << ", duplicates " << duplicates);
    CHECK(duplicates > 5);
    CHECK(different == 0);  // recall 0.999 at 0.7, and far more pairs lie above it
  }
}

TEST_CASE("only the texts that are named take part") {
  NearDuplicates index({});
  for (const char* text : {"a b c d e f", "a b c d e f", "a b c d e f", "x y z"})
    index.add(Words(text));
  const auto matches = index.find({1, 2, 3}, 0.8);
  REQUIRE(matches.size() == 3);
  CHECK_FALSE(matches[0]);
  REQUIRE(matches[1]);
  CHECK(matches[1]->text == 1);
  CHECK_FALSE(matches[2]);
  CHECK(index.find({}, 0.8).empty());
}

TEST_CASE("recall at the threshold over many pairs") {
  // Pairs whose exact similarity lies just above the threshold are the hardest.
  std::size_t pairs = 0, found = 0;
  for (std::uint64_t key = 0; key < 400; ++key) {
    const std::string a = noisy(key, 0, 100, 0), b = noisy(key, 1, 100, 0.025);
    const double exact = jaccard(shingles_of(a), shingles_of(b));
    if (exact < 0.7 || exact > 0.8) continue;
    NearDuplicates index({.lowest_threshold = 0.7, .seed = key});
    index.add(Words(a));
    index.add(Words(b));
    ++pairs;
    found += index.find({0, 1}, 0.7)[1].has_value();
  }
  INFO(pairs << " pairs");
  CHECK(pairs > 60);
  CHECK(found == pairs);
}

TEST_CASE("settings that mean nothing are refused") {
  CHECK_THROWS_AS(NearDuplicates({.lowest_threshold = 0}), Error);
  CHECK_THROWS_AS(NearDuplicates({.lowest_threshold = 1.5}), Error);
  CHECK_THROWS_AS(NearDuplicates({.shingle_words = 0}), Error);
}

TEST_CASE("texts that come one after another: the same are kept as when all are there at once") {
  constexpr std::size_t kTexts = 3000;  // more than the table holds at first
  NearDuplicates all({});
  NearDuplicateFilter filter({});
  std::vector<std::size_t> kept;
  std::vector<std::optional<std::size_t>> found;
  for (std::size_t i = 0; i < kTexts; ++i) {
    const Words words(noisy(i % 1700, i / 1700, 40, i % 1700 % 3 == 0 ? 0.002 : 0.1));
    all.add(words);
    NearDuplicateFilter::Text text = filter.read(words);
    const auto match = filter.find(text);
    found.push_back(match ? std::optional(kept[match->text]) : std::nullopt);
    if (match) continue;
    filter.keep(std::move(text));
    kept.push_back(i);
  }
  const auto matches = all.find(all_of(kTexts), 0.8);
  std::size_t duplicates = 0;
  for (std::size_t i = 0; i < kTexts; ++i) {
    INFO(i);
    REQUIRE(matches[i].has_value() == found[i].has_value());
    duplicates += found[i] ? 1 : 0;
    if (found[i]) CHECK(*found[i] % 1700 == i % 1700);
  }
  CHECK(filter.size() == kTexts - duplicates);
  CHECK(duplicates > 300);
  CHECK(duplicates < 1300);
  CHECK_FALSE(filter.find(filter.read(Words("?!"))).has_value());
}

}  // namespace reflect
