// Solutions of executable problems that somebody else wrote: where they go wrong, how to go on.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "recipes/task.h"

namespace reflect {

// The first line that is no right and possible step of the task's program, if it is a step at all:
// recomputed (proof executed). Nothing where all lines are right, or one cannot be read before.
std::optional<MistakePlace> place_in_program(const SourceTask& task,
                                             const std::vector<std::string>& steps);

// How a solution goes on from right lines: `repair` up to the step that `wrong` (a line) should
// have carried out, `rest` to the last step.
struct ProgramContinuation {
  std::vector<std::string> repair;
  std::vector<std::string> rest;
};
ProgramContinuation continue_program(const SourceTask& task, const std::vector<std::string>& sound,
                                     const std::string& wrong);

}  // namespace reflect
