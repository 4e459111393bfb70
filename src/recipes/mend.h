// Writes a trace from a wrong solution: its sound steps, the mistake, a reflection, the right way.
#pragma once

#include <string>
#include <vector>

#include "recipes/fields.h"
#include "recipes/task.h"
#include "reflect/base/random.h"
#include "reflect/recipes/recipe.h"

namespace reflect {

// What wordings are for, and the places that they may fill.
std::vector<std::string> mend_wordings();
std::vector<std::string> mend_fields();

// Needs `row.mistake` (or a row that is right at once, which is written as it is). Goes on with the
// step's continuation or, where that is empty, with the problem's own steps, without those at their
// start whose result the sound steps already have. Rejects the row with "no_continuation" where
// there is neither, with "no_reflection" where neither a text nor a wording names the mistake.
void mend(const MendStep& step, const Recipe& recipe, TraceRow& row, Random random);

// Writes the solution, or else the problem's own steps, without any mistake. Rejects the row with
// "no_solution" where there is neither.
void write_plain(TraceRow& row);

}  // namespace reflect
