#include "reflect/train/pack_plan.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

#include "reflect/base/random.h"

using namespace reflect;

namespace {

std::vector<std::int64_t> some_lengths(std::size_t rows) {
  std::vector<std::int64_t> lengths;
  Random random(5, "lengths");
  for (std::size_t i = 0; i < rows; ++i) lengths.push_back(random.between(5, 200));
  return lengths;
}

bool same(const Batch& a, const Batch& b) {
  return a.row_index == b.row_index && a.offsets == b.offsets;
}

}  // namespace

TEST_CASE("every epoch holds every row once, in another order, the same each time") {
  const PackPlan plan(some_lengths(500), {.capacity = 512, .window = 100, .seed = 7});
  std::vector<std::int64_t> first_rows;
  for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
    const std::vector<Batch> packs = plan.epoch(epoch), again = plan.epoch(epoch);
    REQUIRE(packs.size() == again.size());
    std::multiset<std::int64_t> rows;
    for (std::size_t i = 0; i < packs.size(); ++i) {
      CHECK(same(packs[i], again[i]));
      CHECK(packs[i].tokens() <= 512);
      rows.insert(packs[i].row_index.begin(), packs[i].row_index.end());
    }
    CHECK(rows.size() == 500);
    CHECK(std::set<std::int64_t>(rows.begin(), rows.end()).size() == 500);
    first_rows.push_back(packs.front().row_index.front());
  }
  CHECK(std::set<std::int64_t>(first_rows.begin(), first_rows.end()).size() > 1);
}

TEST_CASE("packs are at least 97 % full") {
  const PackPlan plan(some_lengths(5000), {.capacity = 1024});
  const std::vector<Batch> packs = plan.epoch(0);
  std::int64_t tokens = 0;
  for (const Batch& pack : packs) tokens += pack.tokens();
  CHECK(static_cast<double>(tokens) / (1024.0 * static_cast<double>(packs.size())) >= 0.97);
}

TEST_CASE("the order of the input survives packing up to its window") {
  const PackPlan plan(some_lengths(400), {.capacity = 512, .window = 50, .shuffle = false});
  std::int64_t finished = 0;  // rows of windows that are over
  for (const Batch& pack : plan.epoch(0)) {
    const auto [low, high] = std::ranges::minmax(pack.row_index);
    CHECK(low / 50 == high / 50);
    CHECK(low >= finished / 50 * 50);
    finished = std::max(finished, low);
  }
}

TEST_CASE("a stream goes on from a position as if it had never stopped") {
  const PackPlan plan(some_lengths(60), {.capacity = 512, .seed = 3});
  PackStream whole(plan);
  std::vector<Batch> packs;
  std::vector<DataPosition> positions;
  for (int i = 0; i < 40; ++i) {  // several epochs
    positions.push_back(whole.position());
    packs.push_back(whole.next());
  }
  CHECK(positions.back().epoch >= 2);
  for (std::size_t at : {0u, 1u, 13u, 27u, 39u}) {
    PackStream stream(plan);
    stream.seek(positions[at]);
    for (std::size_t i = at; i < packs.size(); ++i) CHECK(same(stream.next(), packs[i]));
  }
}

TEST_CASE("a resumed stream restarts no epoch and replays nothing, however far it has come") {
  const PackPlan plan(some_lengths(60), {.capacity = 512, .seed = 3});
  constexpr std::int64_t kFar = 1'000'000'000'000;  // epochs, none of which can be gone through
  PackStream stream(plan);
  stream.seek({kFar, 3});
  const std::vector<Batch> there = plan.epoch(kFar), next = plan.epoch(kFar + 1);
  for (std::size_t i = 3; i < there.size(); ++i) CHECK(same(stream.next(), there[i]));
  CHECK(same(stream.next(), next.front()));
}

TEST_CASE("a run is as long as its epochs, steps or tokens say") {
  const std::vector<std::int64_t> lengths = some_lengths(100);
  const PackPlan plan(lengths, {.capacity = 512});
  std::int64_t sum = 0;
  for (const std::int64_t length : lengths) sum += length;

  const RunLength epochs = measure_run(plan, {.epochs = 2, .packs_per_step = 4});
  CHECK(epochs.tokens == 2 * sum);
  CHECK(epochs.steps == (epochs.packs + 3) / 4);

  const RunLength steps = measure_run(plan, {.max_steps = 50, .packs_per_step = 4});
  CHECK(steps.steps == 50);
  CHECK(steps.packs == 200);

  const RunLength tokens = measure_run(plan, {.max_tokens = 5 * sum, .packs_per_step = 1});
  CHECK(tokens.tokens >= 5 * sum);
  CHECK(tokens.tokens < 5 * sum + 512);
}
