#include "reflect/train/row_order.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "reflect/base/error.h"
#include "reflect/train/pack_plan.h"

using namespace reflect;

namespace {

std::map<std::int64_t, int> counts(const std::vector<std::int64_t>& items) {
  std::map<std::int64_t, int> count;
  for (const std::int64_t item : items) ++count[item];
  return count;
}

// `sizes` items of each file, one file after the other.
RowTraits files(const std::vector<int>& sizes) {
  RowTraits traits;
  for (std::size_t file = 0; file < sizes.size(); ++file)
    traits.file.insert(traits.file.end(), static_cast<std::size_t>(sizes[file]),
                       static_cast<std::int32_t>(file));
  return traits;
}

}  // namespace

TEST_CASE("without a mix every row comes once an epoch, the same each time") {
  const RowOrder order(50, {}, {.seed = 3});
  CHECK(order.epoch(0) == order.epoch(0));
  CHECK(order.epoch(0) != order.epoch(1));
  CHECK(counts(order.epoch(1)).size() == 50);
  CHECK(order.epoch(1).size() == 50);
  const std::vector<std::int64_t> plain = RowOrder(4, {}, {.shuffle = false}).epoch(7);
  CHECK(plain == std::vector<std::int64_t>{0, 1, 2, 3});
}

TEST_CASE("a mix gives each file its share, and repeats no row before all of its file came") {
  const RowOrder order(100, files({90, 10}), {.mix = {2, 1}, .seed = 3});
  CHECK(order.quotas() == std::vector<std::int64_t>{67, 33});
  std::map<std::int64_t, int> seen;
  for (std::int64_t epoch = 0; epoch < 4; ++epoch) {
    const std::vector<std::int64_t> items = order.epoch(epoch);
    REQUIRE(items.size() == 100);
    CHECK(std::ranges::count_if(items, [](auto item) { return item < 90; }) == 67);
    for (const auto& [item, count] : counts(items)) seen[item] += count;
    for (const auto& [first, last] : {std::pair{0, 90}, std::pair{90, 100}}) {
      std::vector<int> times;
      for (int item = first; item < last; ++item) times.push_back(seen[item]);
      const auto [low, high] = std::ranges::minmax(times);
      CHECK(high - low <= 1);
    }
  }
}

TEST_CASE("rows are drawn in proportion to their weight, never one of weight 0") {
  RowTraits traits;
  for (int i = 0; i < 100; ++i) traits.weight.push_back(i % 4);
  const RowOrder order(100, traits, {.seed = 9});
  std::map<std::int64_t, int> seen;
  for (std::int64_t epoch = 0; epoch < 60; ++epoch) {
    const std::vector<std::int64_t> items = order.epoch(epoch);
    REQUIRE(items.size() == 100);
    for (const auto& [item, count] : counts(items)) {
      const double expected = traits.weight[static_cast<std::size_t>(item)] / 1.5;
      CHECK(std::abs(count - expected) < 1);
      seen[item] += count;
    }
  }
  for (int item = 0; item < 100; ++item) {
    CAPTURE(item);
    CHECK(seen[item] / 60.0 ==
          Approx(traits.weight[static_cast<std::size_t>(item)] / 1.5).margin(0.25));
  }
}

TEST_CASE("weights act within the share of each file") {
  RowTraits traits = files({40, 40});
  for (int i = 0; i < 80; ++i) traits.weight.push_back(i < 40 ? 1000 : 1 + i % 2);
  const RowOrder order(80, traits, {.mix = {1, 3}, .seed = 9});
  const std::vector<std::int64_t> items = order.epoch(0);
  CHECK(std::ranges::count_if(items, [](auto item) { return item < 40; }) == 20);
}

TEST_CASE("a curriculum goes from low to high and mixes equals anew each epoch") {
  RowTraits traits;
  for (int i = 0; i < 60; ++i) traits.difficulty.push_back(i % 3);
  const RowOrder order(60, traits, {.seed = 1});
  for (const std::int64_t epoch : {0, 1}) {
    std::vector<double> difficulty;
    for (const std::int64_t item : order.epoch(epoch))
      difficulty.push_back(traits.difficulty[static_cast<std::size_t>(item)]);
    CHECK(std::ranges::is_sorted(difficulty));
  }
  CHECK(order.epoch(0) != order.epoch(1));
  // Packs keep it from window to window.
  const PackPlan plan(std::vector<std::int64_t>(60, 10), {.capacity = 40, .window = 20, .seed = 1},
                      traits);
  std::int64_t place = 0;
  for (const Batch& pack : plan.epoch(0))
    for (const std::int64_t row : pack.row_index) CHECK(row % 3 == place++ / 20);
}

TEST_CASE("a mix or weights that nothing can be drawn from are refused") {
  CHECK_THROWS_WITH(RowOrder(2, files({2, 0}), {.mix = {1, 1}}), Catch::Contains("file 2"));
  CHECK_NOTHROW(RowOrder(2, files({2, 0}), {.mix = {1, 0}}));
  RowTraits nothing;
  nothing.weight = {0, 0};
  CHECK_THROWS_WITH(RowOrder(2, nothing, {}), Catch::Contains("weight 0"));
}
