// Reads one mathematical expression, LaTeX or plain.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "tasks/math_value.h"

namespace reflect {

struct MathExpression {
  MathValue value;
  bool has_percent = false;     // a percent sign at the end; the value is without it
  bool has_both_signs = false;  // it holds a +-, which was read as `sign`
};

// All of `text` (of plain_math): operators + - * / ^ !, products without a sign, \frac, mixed
// numbers, \sqrt[n]{}, |x|, brackets, functions, \pi, e, i, \infty, variables of one letter with an
// index; a unit or \text{...} behind it is read over. +- stands for +1 or -1 as `sign` says.
// Nothing where it is no expression, or its value is not finite.
std::optional<MathExpression> read_math(std::string_view text, int sign = 1);

}  // namespace reflect
