#include "model/lanes.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

namespace reflect::lanes {

TEST_CASE("exp of lanes is as exact as fp32 allows") {
  double worst = 0;
  for (float x = -86.0f; x < 87.0f; x += 0.0137f) {
    const double exact = std::exp(static_cast<double>(x));
    worst = std::max(worst, std::abs(exp(Floats{} + x)[3] - exact) / exact);
  }
  CHECK(worst < 2.5e-7);
  CHECK(exp(Floats{})[0] == 1.0f);
  CHECK(exp(Floats{} - 1e30f)[7] < 1e-37f);
  CHECK(std::isfinite(exp(Floats{} + 1e30f)[0]));
}

TEST_CASE("bf16 is stored as c10 rounds it") {
  std::vector<float> values = {0.0f,     -0.0f,     1.0f,     1.00390625f, 1.01171875f,
                               3.14159f, -2.71828f, 1.0e-40f, 3.0e38f,     65504.0f};
  values.push_back(std::numeric_limits<float>::infinity());
  for (const float value : values) {
    const std::vector<float> copies(kWidth, value);
    c10::BFloat16 stored[kWidth];
    store(stored, load(copies.data()));
    CHECK(stored[5].x == c10::BFloat16(value).x);
  }
  c10::BFloat16 stored[kWidth];
  store(stored, Floats{} + std::bit_cast<float>(0x7fffffffu));
  CHECK(std::isnan(static_cast<float>(stored[0])));
}

TEST_CASE("the largest value is found wherever it is") {
  for (std::size_t n = 1; n <= 20; ++n) {
    for (std::size_t at = 0; at < n; ++at) {
      std::vector<float> values(n, -3.0f);
      values[at] = -1.0f;
      CHECK(largest(values.data(), static_cast<std::int64_t>(n)) == -1.0f);
    }
  }
  CHECK(largest<float>(nullptr, 0) == -std::numeric_limits<float>::infinity());
}

TEST_CASE("sums take every element once, whatever the length") {
  std::vector<float> ones(50, 1.0f);
  for (std::int64_t n = 0; n <= 50; ++n) {
    CHECK(dot(ones.data(), ones.data(), n) == static_cast<float>(n));
    std::int64_t visited = 0;
    for_each(n, [&](std::int64_t i, std::int64_t count) {
      CHECK(i == visited);
      visited += count;
    });
    CHECK(visited == n);
  }
}

TEST_CASE("part of the lanes is loaded and stored without touching the rest") {
  float values[kWidth] = {1, 2, 3, 4, 5, 6, 7, 8};
  const Floats three = load(values, 3);
  CHECK(three[2] == 3.0f);
  CHECK(three[3] == 0.0f);
  store(values, Floats{} + 9.0f, 2);
  CHECK(values[1] == 9.0f);
  CHECK(values[2] == 3.0f);
}

}  // namespace reflect::lanes
