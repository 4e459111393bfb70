// Wrong ways to carry out a step of a program, by kind of mistake.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reflect/base/random.h"
#include "reflect/tasks/procedural.h"

namespace reflect {

enum class ErrorKind {
  kWrongOperation,  // + for -
  kWrongOperand,    // another known quantity
  kPrecedence,      // 2 + 3 * 4 read from the left
  kWrongResult,     // 3 * 4 = 21
  kOffByOne,        // 3 * 4 = 13
  kCopiedWrong,     // an operand's value written down wrong
  kSkippedStep,     // a step left out, the next one works on its operand
  kTooEarly,        // a step whose operands are not known yet
};
constexpr std::size_t kErrorKinds = 8;

// Kinds that were drawn but did not fit the step or changed nothing, so that another was drawn.
using RedrawCounts = std::array<std::int64_t, kErrorKinds>;

std::string_view name_of(ErrorKind kind);
std::optional<ErrorKind> error_kind_named(std::string_view name);
std::vector<std::string> error_kind_names();

// What the solver of a program knows, by quantity.
using KnownValues = std::vector<std::optional<StepValue>>;

// A program and what its right execution gives, by quantity.
struct ExecutedProgram {
  const Family& family;
  const Program& program;
  std::vector<StepValue> values;
};

// A wrong execution of step `next`, or (kPrecedence, kSkippedStep) of the step that uses it, in
// place of `next`. Its result differs from the right one, and going on from it leads to another
// answer: both are recomputed. Nothing where the kind does not apply or changes nothing. Not for
// kTooEarly.
std::optional<Execution> wrong_execution(ErrorKind kind, const ExecutedProgram& executed,
                                         const KnownValues& known, std::size_t next,
                                         Random& random);

}  // namespace reflect
