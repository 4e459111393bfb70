// The last look at a finished trace, without regard to how it was made.
#pragma once

#include "recipes/compare_answers.h"
#include "recipes/task.h"
#include "reflect/recipes/recipe.h"

namespace reflect {

// Rejects the row unless its spans are what the tags say, its output is right, and all that can be
// computed again is as claimed: proven errors are wrong, everything outside errors is not.
// `replies`: the judge's.
void verify(const VerifyStep& step, const std::vector<TeacherReply>& replies, TraceRow& row);

// What the judge is asked: the output against the answer. No answers where the row fails anyway.
Comparison comparison_of(const VerifyStep& step, const TraceRow& row);

}  // namespace reflect
