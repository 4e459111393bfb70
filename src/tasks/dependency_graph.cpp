#include "tasks/dependency_graph.h"

#include <algorithm>

namespace reflect {
namespace {

constexpr double kOperationShare = 0.65;
constexpr double kUnusedShare = 0.7;

// Operations so far and those of them that nothing uses.
struct Drawn {
  std::size_t constants;
  std::size_t operations = 0;
  std::vector<std::size_t> unused;

  std::size_t draw_operand(Random& random) const {
    if (operations == 0 || !random.chance(kOperationShare)) return random.below(constants);
    if (!unused.empty() && random.chance(kUnusedShare)) return unused[random.below(unused.size())];
    return constants + random.below(operations);
  }

  std::size_t unused_without(const std::array<std::size_t, 2>& pair) const {
    return static_cast<std::size_t>(std::count_if(
        unused.begin(), unused.end(), [&](auto u) { return u != pair[0] && u != pair[1]; }));
  }

  void add(const std::array<std::size_t, 2>& pair) {
    std::erase_if(unused, [&](auto u) { return u == pair[0] || u == pair[1]; });
    unused.push_back(constants + operations++);
  }
};

}  // namespace

std::vector<std::array<std::size_t, 2>> draw_dependencies(Random& random, std::size_t constants,
                                                          std::size_t operations) {
  Drawn drawn{constants, 0, {}};
  std::vector<std::array<std::size_t, 2>> all;
  while (all.size() < operations) {
    const std::size_t to_come = operations - all.size() - 1;
    std::array<std::size_t, 2> pair;
    do {
      pair = {drawn.draw_operand(random), drawn.draw_operand(random)};
    } while (pair[0] == pair[1] || drawn.unused_without(pair) > to_come);
    drawn.add(pair);
    all.push_back(pair);
  }
  return all;
}

}  // namespace reflect
