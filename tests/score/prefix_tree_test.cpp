#include "score/prefix_tree.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

#include "reflect/base/random.h"

namespace reflect {
namespace {

// Texts of few ids, grown from each other, so that they have much in common.
std::vector<Ids> random_texts(std::uint64_t key, int count) {
  Random random(key, "prefix-tree-test");
  std::vector<Ids> texts;
  for (int i = 0; i < count; ++i) {
    Ids text;
    if (!texts.empty() && random.below(4) > 0) {
      text = texts[random.below(texts.size())];
      text.resize(random.between(0, static_cast<std::int64_t>(text.size())));
    }
    const std::int64_t more = random.between(text.empty() ? 1 : 0, 20);
    for (std::int64_t j = 0; j < more; ++j)
      text.push_back(static_cast<std::int32_t>(random.below(3)));
    texts.push_back(text);
  }
  return texts;
}

PrefixTree tree_of(std::vector<Ids>& texts) {
  std::sort(texts.begin(), texts.end());
  std::vector<const Ids*> pointers;
  for (const Ids& text : texts) pointers.push_back(&text);
  return prefix_tree(pointers);
}

// The places of the tokens that row r stands behind, and its own.
std::vector<std::int64_t> places_of_row(const PackedRows& rows, std::int64_t r) {
  std::vector<std::int64_t> places;
  if (rows.parent[r] >= 0) places = places_of_row(rows, rows.parent[r]);
  for (std::int64_t t = rows.offsets[r]; t < rows.offsets[r + 1]; ++t) places.push_back(t);
  return places;
}

std::int64_t distinct_prefixes(const std::vector<Ids>& texts) {
  std::set<Ids> prefixes;
  for (const Ids& text : texts)
    for (std::size_t n = 1; n <= text.size(); ++n)
      prefixes.insert(Ids(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(n)));
  return static_cast<std::int64_t>(prefixes.size());
}

}  // namespace

TEST_CASE("every text is a path of the tree, with its own tokens and nothing else before them") {
  for (std::uint64_t key = 0; key < 50; ++key) {
    std::vector<Ids> texts = random_texts(key, 1 + static_cast<int>(key % 12));
    const PrefixTree tree = tree_of(texts);
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const std::vector<std::int64_t>& places = tree.places[i];
      REQUIRE(places.size() == texts[i].size());
      for (std::size_t j = 0; j < places.size(); ++j)
        REQUIRE(tree.ids[static_cast<std::size_t>(places[j])] == texts[i][j]);
      const auto row =
          std::upper_bound(tree.rows.offsets.begin(), tree.rows.offsets.end(), places.back()) -
          tree.rows.offsets.begin() - 1;
      std::vector<std::int64_t> seen = places_of_row(tree.rows, row);
      seen.resize(texts[i].size());
      REQUIRE(seen == places);
      REQUIRE(tree.rows.first_positions()[static_cast<std::size_t>(row)] ==
              std::find(places.begin(), places.end(),
                        tree.rows.offsets[static_cast<std::size_t>(row)]) -
                  places.begin());
    }
  }
}

TEST_CASE("a long common beginning stands once, a short one with each text") {
  std::vector<Ids> texts = {{1, 2, 3, 4, 5, 6, 7}, {1, 2, 3, 4, 5, 6, 8, 9}, {1, 2, 5}, {1, 2, 5}};
  const PrefixTree tree = tree_of(texts);
  CHECK(tree.ids == std::vector<std::int64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 5});
  CHECK(tree.rows.offsets == std::vector<std::int64_t>{0, 6, 7, 9, 12});
  CHECK(tree.rows.parent == std::vector<std::int64_t>{-1, 0, 0, -1});
  CHECK(tree.places[2] == tree.places[3]);
}

TEST_CASE("the tree computes little more than the distinct prefixes") {
  std::vector<Ids> texts = random_texts(3, 200);
  const std::int64_t tokens = tree_of(texts).rows.tokens(), least = distinct_prefixes(texts);
  CHECK(tokens >= least);
  std::int64_t all = 0;
  for (const Ids& text : texts) all += static_cast<std::int64_t>(text.size());
  CHECK(tokens - least < (all - least) / 2);
}

TEST_CASE("batches hold every text once, within the budget") {
  const std::vector<Ids> texts = random_texts(11, 100);
  for (const std::int64_t budget : {1, 30, 200, 100000}) {
    std::multiset<std::size_t> seen;
    for (const std::vector<std::size_t>& batch : plan_batches(texts, budget)) {
      std::int64_t tokens = 0;
      for (std::size_t i = 0; i < batch.size(); ++i) {
        seen.insert(batch[i]);
        const Ids& text = texts[batch[i]];
        if (i > 0) CHECK(texts[batch[i - 1]] <= text);
        tokens += static_cast<std::int64_t>(text.size());
        if (i > 0) tokens -= shared_tokens(texts[batch[i - 1]], text);
      }
      CHECK((batch.size() == 1 || tokens <= budget));
    }
    REQUIRE(seen.size() == texts.size());
    for (std::size_t i = 0; i < texts.size(); ++i) CHECK(seen.count(i) == 1);
  }
}

TEST_CASE("batches are cut where texts have little in common") {
  std::vector<Ids> texts;
  for (int group = 0; group < 4; ++group)
    for (int i = 0; i < 5; ++i) {
      Ids text(50, group);
      text.resize(60, 10 + i);
      texts.push_back(text);
    }
  // One group is 100 tokens: two fit into 230, and no group is worth being cut for the rest.
  const auto batches = plan_batches(texts, 230);
  REQUIRE(batches.size() == 2);
  CHECK(batches[0].size() == 10);
  CHECK(batches[1].size() == 10);
}

}  // namespace reflect
