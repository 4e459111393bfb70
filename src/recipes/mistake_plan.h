// Draws by an error profile which steps of a solution get a mistake, and of which kind.
#pragma once

#include <vector>

#include "recipes/inject.h"

namespace reflect {

struct PlannedMistake {
  std::size_t position;  // steps that are done before it
  ErrorKind kind;
};

// The kinds that a plan draws from for problems of this family; with a profile those that have a
// weight in it, as far as any of them suits.
std::vector<ErrorKind> kinds_for(const InjectPlan& plan, const Family& family);

// The share of drawn too early attempts that are made, so that their probability before a step
// stays below plan.max_too_early where `share` of all mistakes are of this kind.
double kept_too_early(const InjectPlan& plan, double share);

// At least one mistake where any is possible, by position. A kind that fits no step is counted in
// `redrawn` and drawn again.
std::vector<PlannedMistake> plan_mistakes(const InjectPlan& plan, const ExecutedProgram& executed,
                                          Random& random, RedrawCounts& redrawn);

}  // namespace reflect
