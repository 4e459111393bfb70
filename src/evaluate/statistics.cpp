#include "reflect/evaluate/statistics.h"

#include <algorithm>
#include <cmath>

#include "reflect/base/quantile.h"
#include "reflect/base/random.h"

namespace reflect {
namespace {

constexpr double kNormalQuantile = 1.959963984540054;  // of 0.975

}  // namespace

Interval wilson_interval(std::int64_t right, std::int64_t total) {
  if (total == 0) return {0, 1};
  const auto n = static_cast<double>(total);
  const double p = static_cast<double>(right) / n;
  const double z2 = kNormalQuantile * kNormalQuantile;
  const double centre = (p + z2 / (2 * n)) / (1 + z2 / n);
  const double half =
      kNormalQuantile / (1 + z2 / n) * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n));
  return {std::max(0.0, centre - half), std::min(1.0, centre + half)};
}

double mcnemar_exact_p(std::int64_t gained, std::int64_t lost) {
  const std::int64_t n = gained + lost;
  const std::int64_t smaller = std::min(gained, lost);
  if (n == 2 * smaller) return 1;
  const auto log_choose = [n](std::int64_t k) {
    return std::lgamma(static_cast<double>(n + 1)) - std::lgamma(static_cast<double>(k + 1)) -
           std::lgamma(static_cast<double>(n - k + 1));
  };
  double tail = 0;
  for (std::int64_t k = 0; k <= smaller; ++k) {
    tail += std::exp(log_choose(k) - static_cast<double>(n) * std::log(2.0));
  }
  return std::min(1.0, 2 * tail);
}

Interval bootstrap_mean_interval(std::span<const double> values, std::int64_t resamples,
                                 std::uint64_t seed) {
  if (values.empty() || resamples < 1) return {0, 0};
  std::vector<double> means(resamples);
  for (std::int64_t r = 0; r < resamples; ++r) {
    Random random(seed, "evaluate.bootstrap", {static_cast<std::uint64_t>(r)});
    double sum = 0;
    for (std::size_t i = 0; i < values.size(); ++i) sum += values[random.below(values.size())];
    means[r] = sum / static_cast<double>(values.size());
  }
  std::sort(means.begin(), means.end());
  return {quantile(means, 0.025), quantile(means, 0.975)};
}

double mean_of(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

}  // namespace reflect
