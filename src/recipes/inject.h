// Writes solutions of executable problems with mistakes that are noticed and repaired.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "recipes/corruption.h"
#include "reflect/data/trace.h"
#include "reflect/recipes/recipe.h"

namespace reflect {

// The places that a wording of a mistake may fill: the equations and values of the wrong and the
// right execution, the signs of their operations, and the equation of the step that came too late.
std::vector<std::string> inject_fields();

// Weights as shares of their sum; empty where one is no number of 0 or more, or all are 0.
std::vector<double> shares_of(const std::vector<std::string>& weights);

// A CorruptStep with its texts read once, for many traces.
struct InjectPlan {
  explicit InjectPlan(const CorruptStep& step);

  double q;
  double clean_fraction;
  bool at_least_one;
  bool follow;
  double max_too_early;
  std::vector<ErrorKind> kinds;      // empty: by family
  std::vector<double> notice_after;  // probability of noticing after so many further steps
  std::array<const std::vector<TextTemplate>*, kErrorKinds> reflections{};
  std::optional<ErrorProfile> profile;  // places and kinds are drawn from it instead of by q alone
};

struct InjectedError {
  int round;
  ErrorKind kind;
  std::size_t step;           // of the program
  std::size_t noticed_after;  // further steps between the mistake and its reflection
  StepPlace place;            // among the steps in the order in which they are done
};

struct InjectedTrace {
  std::string text;
  std::vector<Span> spans;
  std::vector<InjectedError> errors;
};

// With a profile a trace that is not clean has as many mistakes as `steps` draws with probability q
// give, but at least one; each is of a kind drawn by the profile and stands before a step that is
// drawn by the profile's positions among those where the kind fits. A step that a mistake noticed
// later has taken along gets none of its own.
//
// Spans: the error runs from the wrong step to the last step that builds on its value; a correction
// holds the repaired step and all that had to be done again. Of a chain of `follow` attempts only
// the first is an error: the others are the search that answers the reflection before them.
InjectedTrace inject(const InjectPlan& plan, const Family& family, const Program& program,
                     Random random, RedrawCounts& redrawn);

}  // namespace reflect
