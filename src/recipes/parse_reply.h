// Reads replies that already are traces with tags.
#pragma once

#include "recipes/task.h"
#include "reflect/recipes/recipe.h"

namespace reflect {

// Takes the solution's reply as the response and places the mistake before each reflection: the
// first sentence with a wrong equation since the reflection before. Its correction is the first
// sentence after the reflection. Rejects the row with "trace_<issue>" where the tags are malformed,
// and with "unplaced" under that policy.
void parse_reply(const ParseStep& step, TraceRow& row);

}  // namespace reflect
