// A random subset of the size of a selection, to compare the selection with.
#pragma once

#include <cstdint>
#include <vector>

#include "score/candidates.h"

namespace reflect {

// `count` rows (fewer where there are not so many), sorted, of those that were scored without
// failure (by the small model where a prefilter held them back), are not known to be wrong and hold
// no benchmark text; under the selective policies one of each group at most. Drawn by seed and row
// id, so that it does not depend on the other gates.
std::vector<std::size_t> random_control(const Candidates& candidates, const SelectionConfig& config,
                                        std::size_t count, std::uint64_t seed);

}  // namespace reflect
