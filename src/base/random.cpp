#include "reflect/base/random.h"

#include <cmath>
#include <numbers>

#include "reflect/base/hash.h"

namespace reflect {
namespace {

constexpr std::uint64_t kGoldenGamma = 0x9e3779b97f4a7c15;

// SplitMix64's finaliser (Steele, Lea, Flood: Fast splittable pseudorandom number generators,
// 2014).
std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

std::uint64_t random_key(std::uint64_t seed, std::string_view purpose,
                         std::initializer_list<std::uint64_t> keys) {
  std::uint64_t state = mix(seed + kGoldenGamma);
  state = mix((state ^ content_hash64(purpose)) + kGoldenGamma);
  for (const std::uint64_t key : keys) state = mix((state ^ key) + kGoldenGamma);
  return state;
}

std::uint64_t Random::bits() {
  return mix(key_ + kGoldenGamma * ++counter_);
}

double Random::uniform() {
  return static_cast<double>(bits() >> 11) * 0x1p-53;
}

// Lemire: Fast random integer generation in an interval, 2019.
std::uint64_t Random::below(std::uint64_t n) {
  __extension__ using Wide = unsigned __int128;
  Wide product = static_cast<Wide>(bits()) * n;
  if (static_cast<std::uint64_t>(product) < n) {
    const std::uint64_t rejected = (0 - n) % n;
    while (static_cast<std::uint64_t>(product) < rejected) {
      product = static_cast<Wide>(bits()) * n;
    }
  }
  return static_cast<std::uint64_t>(product >> 64);
}

std::int64_t Random::between(std::int64_t low, std::int64_t high) {
  const std::uint64_t range =
      static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low) + 1;
  const std::uint64_t offset = range == 0 ? bits() : below(range);
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(low) + offset);
}

// Box-Muller, the cosine half only: two draws a value, so that a value depends on no earlier call.
double Random::normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

}  // namespace reflect
