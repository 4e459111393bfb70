#include "generate/schedule.h"

#include <catch2/catch.hpp>

namespace reflect {
namespace {

std::vector<std::size_t> requests_of(const std::vector<SlotChoice>& placements) {
  std::vector<std::size_t> requests;
  for (const SlotChoice& placement : placements) requests.push_back(placement.request);
  return requests;
}

using Requests = std::vector<std::size_t>;

TEST_CASE("requests take free slots in order") {
  Schedule schedule({5, 5, 5, 5}, 2, 100);
  const auto first = schedule.admit();
  CHECK(requests_of(first) == Requests{0, 1});
  CHECK(first[0].slot == 0);
  CHECK(first[1].slot == 1);
  CHECK(schedule.admit().empty());
  schedule.release(1);
  const auto second = schedule.admit();
  REQUIRE(requests_of(second) == Requests{2});
  CHECK(second[0].slot == 1);
  schedule.release(0);
  schedule.release(1);
  const auto third = schedule.admit();
  REQUIRE(requests_of(third) == Requests{3});
  CHECK(third[0].slot == 0);
  CHECK(schedule.admit().empty());
}

TEST_CASE("an admission keeps to the prefill budget, a longer prompt goes alone") {
  Schedule schedule({6, 6, 30, 2, 3}, 8, 12);
  CHECK(requests_of(schedule.admit()) == Requests{0, 1});
  CHECK(requests_of(schedule.admit()) == Requests{2});
  CHECK(requests_of(schedule.admit()) == Requests{3, 4});
  CHECK(schedule.admit().empty());
}

TEST_CASE("no requests, no placements") {
  Schedule schedule({}, 3, 10);
  CHECK(schedule.admit().empty());
}

}  // namespace
}  // namespace reflect
