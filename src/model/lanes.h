// Eight fp32 values at once, loaded from fp32 or bf16 and stored as either: what the decoder's own
// CPU kernels are written with. Sums have a fixed order.
#pragma once

#include <c10/util/BFloat16.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>

namespace reflect::lanes {

inline constexpr std::int64_t kWidth = 8;
using Floats [[gnu::vector_size(4 * kWidth)]] = float;
using Words [[gnu::vector_size(4 * kWidth)]] = std::uint32_t;
using Halves [[gnu::vector_size(2 * kWidth)]] = std::uint16_t;

inline Floats load(const float* from) {
  Floats values;
  std::memcpy(&values, from, sizeof values);
  return values;
}

// A bf16 is the upper half of a float.
inline Floats load(const c10::BFloat16* from) {
  Halves halves;
  std::memcpy(&halves, from, sizeof halves);
  return std::bit_cast<Floats>(__builtin_convertvector(halves, Words) << 16);
}

inline void store(float* to, const Floats& values) {
  std::memcpy(to, &values, sizeof values);
}

// Rounded to nearest, ties to even; a NaN stays one.
inline void store(c10::BFloat16* to, const Floats& values) {
  const auto bits = std::bit_cast<Words>(values);
  const Words rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const Words quiet = values == values ? rounded : Words{} + 0x7fc0;
  const Halves halves = __builtin_convertvector(quiet, Halves);
  std::memcpy(to, &halves, sizeof halves);
}

// The first `count` lanes; the others are 0.
template <class T>
Floats load(const T* from, std::int64_t count) {
  if (count >= kWidth) return load(from);
  T padded[kWidth] = {};
  std::memcpy(padded, from, static_cast<std::size_t>(count) * sizeof(T));
  return load(padded);
}

template <class T>
void store(T* to, const Floats& values, std::int64_t count) {
  if (count >= kWidth) return store(to, values);
  T padded[kWidth];
  store(padded, values);
  std::memcpy(to, padded, static_cast<std::size_t>(count) * sizeof(T));
}

inline float sum_of(const Floats& v) {
  return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}

// Calls work(i, count) for i = 0, 8, ... below n, with count lanes at each.
template <class Work>
void for_each(std::int64_t n, const Work& work) {
  std::int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) work(i, kWidth);
  if (i < n) work(i, n - i);
}

// sum over i < n, where term(i, count) is Floats of elements i, i + 1, ... with 0 past count.
template <class Term>
float sum(std::int64_t n, const Term& term) {
  Floats first = {}, second = {};  // two chains: an addition takes longer than a load
  std::int64_t i = 0;
  for (; i + 2 * kWidth <= n; i += 2 * kWidth) {
    first += term(i, kWidth);
    second += term(i + kWidth, kWidth);
  }
  for (; i < n; i += kWidth) first += term(i, n - i);
  return sum_of(first + second);
}

template <class A, class B>
float dot(const A* a, const B* b, std::int64_t n) {
  return sum(n, [&](std::int64_t i, std::int64_t count) {
    return load(a + i, count) * load(b + i, count);
  });
}

// The largest of n values; -inf where n = 0.
template <class T>
float largest(const T* x, std::int64_t n) {
  Floats top = Floats{} - std::numeric_limits<float>::infinity();
  std::int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) {
    const Floats each = load(x + i);
    top = each > top ? each : top;
  }
  float result = top[0];
  for (std::int64_t lane = 1; lane < kWidth; ++lane) result = std::max(result, top[lane]);
  for (; i < n; ++i) result = std::max(result, static_cast<float>(x[i]));
  return result;
}

// e^x within 2 units of the last place for x in [-87, 88]; clamped outside. Cody-Waite reduction to
// |f| <= ln(2) / 2 and the polynomial of Cephes' expf.
inline Floats exp(Floats x) {
  constexpr float kLog2E = 1.44269504f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  constexpr float kRoundToInteger = 12582912.0f;  // 1.5 * 2^23: adding it leaves an integer
  const Floats low = Floats{} - 87.0f, high = Floats{} + 88.0f;
  x = x < low ? low : x;
  x = x > high ? high : x;
  const Floats shifted = x * kLog2E + kRoundToInteger;
  const Floats n = shifted - kRoundToInteger;
  const Floats f = (x - n * kLn2High) - n * kLn2Low;
  Floats p = Floats{} + 1.9875691500e-4f;
  p = p * f + 1.3981999507e-3f;
  p = p * f + 8.3334519073e-3f;
  p = p * f + 4.1665795894e-2f;
  p = p * f + 1.6666665459e-1f;
  p = p * f + 5.0000001201e-1f;
  // The lowest bits of `shifted` hold n as an integer: n + 127 is the exponent of 2^n.
  const Words exponent = (std::bit_cast<Words>(shifted) + 127) << 23;
  return (p * f * f + f + 1.0f) * std::bit_cast<Floats>(exponent);
}

inline Floats sigmoid(const Floats& x) {
  return 1.0f / (1.0f + exp(-x));
}

}  // namespace reflect::lanes
