// Whether a mathematical answer is worth the same as the gold answer, however it is written.
#pragma once

#include <string_view>

#include "reflect/tasks/checker.h"

namespace reflect {

// Reads both as LaTeX or plain mathematics and compares what they are worth:
//  - a gold answer that check_number reads goes by its rules first (percent, currency, units);
//  - numbers, \frac, mixed numbers, + - * / ^ !, brackets, |x|, roots, pi, e, i, elementary
//  functions
//    and variables: exactly where only rational numbers are in it, modulo a prime and at three
//    points where it is a rational function of variables (Schwartz 1980), else at three points to
//    12 digits. Variables are taken as positive; 0.33 is not 1/3 and 1.414 is not the root of 2;
//  - tuples and intervals part by part with their brackets; sets, lists ("1, 2", "1 or 2", with a
//    +- sign) and unions in any order; matrices element by element;
//  - "x = 5" is 5 for an answer without a name, and y = 5 is not; units behind a value are dropped;
//  - text (\text{Monday}, or whatever cannot be read) is compared without regard to case and space.
// Of an answer in prose the last \boxed{} counts; prose without one is no answer. Reasons: "right",
// "wrong", "empty", "not_an_expression" (it cannot be read and is not the gold text), "bad_gold".
Verdict check_math(std::string_view answer, std::string_view gold);

}  // namespace reflect
