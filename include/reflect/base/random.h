// Counter-based randomness: a stream is named by what it is for, never by the order of calls.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <utility>

namespace reflect {

// A 64-bit mix of all keys (SplitMix64 finaliser per key); equal keys give equal bits everywhere.
std::uint64_t random_key(std::uint64_t seed, std::string_view purpose,
                         std::initializer_list<std::uint64_t> keys = {});

// An endless sequence of draws that is a pure function of its key.
class Random {
 public:
  explicit Random(std::uint64_t key) : key_(key) {}
  Random(std::uint64_t seed, std::string_view purpose,
         std::initializer_list<std::uint64_t> keys = {})
      : key_(random_key(seed, purpose, keys)) {}

  std::uint64_t bits();                                       // uniform over 64 bits
  double uniform();                                           // [0, 1)
  std::uint64_t below(std::uint64_t n);                       // [0, n), without bias; n > 0
  std::int64_t between(std::int64_t low, std::int64_t high);  // [low, high], both included
  double normal();                                            // mean 0, standard deviation 1
  bool chance(double probability) { return uniform() < probability; }

  // Fisher-Yates, in place.
  template <class Container>
  void shuffle(Container& items) {
    for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }

 private:
  std::uint64_t key_;
  std::uint64_t counter_ = 0;
};

}  // namespace reflect
