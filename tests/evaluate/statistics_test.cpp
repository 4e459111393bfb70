// Intervals and tests against values of scipy 1.17 (binomtest and its Wilson interval).
#include "reflect/evaluate/statistics.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "reflect/base/random.h"

namespace reflect {
namespace {

TEST_CASE("Wilson intervals equal the reference") {
  struct Known {
    std::int64_t right, total;
    double low, high;
  };
  for (const Known& known :
       {Known{8, 10, 0.49016247153664183, 0.9433178485456247}, Known{0, 10, 0, 0.27753279986288915},
        Known{10, 10, 0.7224672001371109, 1},
        Known{81, 263, 0.2552885198782743, 0.3662095769828001},
        Known{1, 1000, 0.00017654637062607809, 0.005642558597957934}}) {
    const Interval got = wilson_interval(known.right, known.total);
    CHECK(got.low == Approx(known.low).margin(1e-12));
    CHECK(got.high == Approx(known.high).margin(1e-12));
  }
  CHECK(wilson_interval(0, 0).low == 0);
  CHECK(wilson_interval(0, 0).high == 1);
}

TEST_CASE("McNemar's exact p equals the reference and does not care for the order") {
  CHECK(mcnemar_exact_p(5, 15) == Approx(0.04138946533203125).epsilon(1e-10));
  CHECK(mcnemar_exact_p(15, 5) == Approx(0.04138946533203125).epsilon(1e-10));
  CHECK(mcnemar_exact_p(0, 6) == Approx(0.03125).epsilon(1e-10));
  CHECK(mcnemar_exact_p(12, 10) == Approx(0.8318119049072266).epsilon(1e-10));
  CHECK(mcnemar_exact_p(40, 80) == Approx(0.0003304000183913207).epsilon(1e-10));
  CHECK(mcnemar_exact_p(0, 0) == 1);
  CHECK(mcnemar_exact_p(7, 7) == 1);
}

TEST_CASE("the bootstrap is a pure function and agrees with the normal interval") {
  std::vector<double> values(400);
  Random random(1, "test.values");
  for (double& value : values) value = random.normal();
  const Interval first = bootstrap_mean_interval(values, 4000, 5);
  const Interval again = bootstrap_mean_interval(values, 4000, 5);
  CHECK(first.low == again.low);
  CHECK(first.high == again.high);
  CHECK(bootstrap_mean_interval(values, 4000, 6).low != first.low);

  const double mean = mean_of(values);
  double variance = 0;
  for (const double value : values) variance += (value - mean) * (value - mean);
  const double half = 1.96 * std::sqrt(variance / 399 / 400);
  CHECK(first.low == Approx(mean - half).margin(0.1 * half));
  CHECK(first.high == Approx(mean + half).margin(0.1 * half));
}

TEST_CASE("degenerate samples have degenerate intervals") {
  CHECK(bootstrap_mean_interval({}, 100, 0).high == 0);
  const std::vector<double> same(10, 0.25);
  CHECK(bootstrap_mean_interval(same, 100, 0).low == Approx(0.25));
  CHECK(bootstrap_mean_interval(same, 100, 0).high == Approx(0.25));
  CHECK(mean_of({}) == 0);
}

}  // namespace
}  // namespace reflect
