// Tells of which kind a recorded mistake is, and measures the error profile of recorded mistakes.
#pragma once

#include <optional>
#include <string_view>

#include "recipes/corruption.h"
#include "reflect/recipes/error_profile.h"

namespace reflect {

// The kind of a wrong equation "left = written" whose left side is worth `expected`, by what would
// explain the number that is written: read from left to right without precedence, one operation
// taken for another, one off; another number in an expression that is copied; else a wrong result.
// What explains it first is taken, so small numbers may be told wrongly. Kinds that do not show in
// an equation (wrong_operand, skipped_step, too_early) are never told.
ErrorKind kind_of_equation(std::string_view left, std::string_view expected,
                           std::string_view written);

struct MeasuredProfile {
  ErrorProfile profile;
  std::int64_t solutions = 0;      // read
  std::int64_t wrong = 0;          // with a wrong answer or a marked step
  std::int64_t without_place = 0;  // of these: no step is marked and no equation is wrong
  std::int64_t refused = 0;        // malformed rows
};

// The profile of a file's mistakes: those that the lineage of the project's own rows names, else of
// each wrong solution the first step that a person marked or whose equation is wrong. Rows as
// FileSource reads them.
MeasuredProfile measure_profile(const std::string& path);

}  // namespace reflect
