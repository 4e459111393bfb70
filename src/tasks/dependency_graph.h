// Draws which earlier quantities each operation of a problem uses, so that the last needs them all.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "reflect/base/random.h"

namespace reflect {

// Operands of `operations` operations over `constants` (>= 2) given quantities, two distinct ones
// each; quantity constants + i is operation i. An operand is with probability 0.65 an earlier
// operation (with probability 0.7 one that nothing has used yet), else a constant; a pair is drawn
// again if it left more unused operations than the operations to come could use up.
std::vector<std::array<std::size_t, 2>> draw_dependencies(Random& random, std::size_t constants,
                                                          std::size_t operations);

}  // namespace reflect
