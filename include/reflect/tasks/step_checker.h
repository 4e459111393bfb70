// Checks the arithmetic that is written in the steps of a solution by computing it again.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "reflect/tasks/rational.h"

namespace reflect {

enum class StepVerdict {
  kNothing,  // no equation whose sides can both be computed
  kRight,    // every such equation holds
  kWrong,    // one does not
};

struct StepCheck {
  StepVerdict verdict = StepVerdict::kNothing;
  // Of the first wrong equation "left = right":
  std::size_t begin = 0;  // its bytes in the step
  std::size_t end = 0;
  std::string expected;  // the value of its left side, "a part of the problem", or a formula
  std::string written;   // its right side as it stands there, without annotations
};

// Reads the steps of one solution in order and remembers the variables that they define.
//
// An equation is "expression = expression = ...", each link of which is checked, or a calculator
// annotation <<expression=value>>. Expressions have + - * x / with the usual precedence, brackets,
// signs, thousands separators, currency and percent signs, units ("3 boxes * $4/box") and variables
// of one letter. "A = 3 + 4" announces A, and the next "A = ..." must begin with that value.
//
// Where the problem itself is an expression, a variable's first definition must be a part of it and
// "answer is N" must repeat the value of the chain before it in the same step. A formula of
// variables in quotes says what the problem is: it must be worth that where all its variables are
// parts of the problem, and another one of the same variables must have its value.
//
// Only what is provable counts as wrong: results may be rounded or cut at their last written digit,
// and an equation that holds up to a percent sign, a conversion of units (60 minutes = 1 hour) or
// another reading (6 / 1/3, 2 + 3 = 5 * 4) is passed over, as is one that goes on in words ("20%
// of", "3 times") or has an unknown in it.
class StepChecker {
 public:
  explicit StepChecker(std::string_view problem);
  StepCheck check(std::string_view step);

 private:
  std::string problem_;                 // its expression without spaces and brackets, else empty
  std::map<char, Rational> variables_;  // as the solution claims them
  Rational last_value_;                 // of the last chain; a step "= 12" goes on with it
  std::set<char> announced_;            // given as an expression that is still to be computed
  std::string formula_;                 // of variables, that the problem was said to be
};

std::vector<StepCheck> check_steps(std::string_view problem, const std::vector<std::string>& steps);

// Index of the first step that is wrong; nothing when none is.
std::optional<std::size_t> first_wrong_step(std::string_view problem,
                                            const std::vector<std::string>& steps);

}  // namespace reflect
