// The last look at a finished trace, without regard to how it was made.
#pragma once

#include "recipes/task.h"
#include "reflect/recipes/recipe.h"

namespace reflect {

// Rejects the row unless its spans are what the tags say, its output is right, and all that can be
// computed again is as claimed: proven errors are wrong, everything outside errors is not.
void verify(const VerifyStep& step, TraceRow& row);

}  // namespace reflect
