// Scalar functions that compilers turn into vector code, which the ones of libm are not.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

namespace reflect {

// e^x within 2 units of the last place for x in [-87, 88]; clamped outside. Cody-Waite reduction to
// |f| <= ln(2) / 2 and the polynomial of Cephes' expf.
inline float vector_exp(float x) {
  constexpr float kLog2E = 1.44269504f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  constexpr float kRoundToInteger = 12582912.0f;  // 1.5 * 2^23: adding it leaves an integer
  x = std::min(std::max(x, -87.0f), 88.0f);
  const float shifted = x * kLog2E + kRoundToInteger;
  const float n = shifted - kRoundToInteger;
  const float f = (x - n * kLn2High) - n * kLn2Low;
  float p = 1.9875691500e-4f;
  p = p * f + 1.3981999507e-3f;
  p = p * f + 8.3334519073e-3f;
  p = p * f + 4.1665795894e-2f;
  p = p * f + 1.6666665459e-1f;
  p = p * f + 5.0000001201e-1f;
  const float fraction = p * f * f + f + 1.0f;
  const auto exponent = static_cast<std::uint32_t>(static_cast<std::int32_t>(n) + 127);
  return fraction * std::bit_cast<float>(exponent << 23);
}

inline float sigmoid(float x) {
  return 1.0f / (1.0f + vector_exp(-x));
}

}  // namespace reflect
