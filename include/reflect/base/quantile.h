// Quantiles of a sample.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>

namespace reflect {

// The q-quantile (0 <= q <= 1) of ascending values, at least one: linear between the two nearest
// (type 7 of Hyndman and Fan 1996, as NumPy's default).
inline double quantile(std::span<const double> sorted, double q) {
  const double rank = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(rank);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], rank - static_cast<double>(below));
}

}  // namespace reflect
