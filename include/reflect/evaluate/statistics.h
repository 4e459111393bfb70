// Statistics of right and wrong answers: intervals and paired tests.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace reflect {

struct Interval {
  double low = 0;
  double high = 0;
};

// Wilson's score interval (Wilson 1927) of a proportion at 95 %; [0, 1] when `total` is 0.
Interval wilson_interval(std::int64_t right, std::int64_t total);

// McNemar's exact test (1947): two-sided p of the binomial(gained + lost, 1/2), where `gained`
// problems are right in the second arm only and `lost` in the first only. 1 when both are 0.
double mcnemar_exact_p(std::int64_t gained, std::int64_t lost);

// Percentile bootstrap at 95 % of the mean of `values` (Efron 1979), drawn with replacement; a pure
// function of values, resamples and seed. Paired when the values are differences of pairs.
Interval bootstrap_mean_interval(std::span<const double> values, std::int64_t resamples,
                                 std::uint64_t seed);

double mean_of(std::span<const double> values);  // 0 when empty

}  // namespace reflect
