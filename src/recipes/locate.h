// Places the first mistake of a written solution.
#pragma once

#include "recipes/fields.h"
#include "recipes/task.h"
#include "reflect/recipes/recipe.h"
#include "reflect/tasks/step_checker.h"

namespace reflect {

// Sets `row.mistake`, or rejects the row: "no_final_answer" (the solution breaks off), "unplaced".
// Of a row that is a trace already it places the mistakes that have no place yet, by quotes alone.
// A place that an earlier step has found stays.
void locate(const LocateStep& step, const Recipe& recipe, TraceRow& row);

// The place of the wrong equation that a check found in step `index`.
MistakePlace wrong_equation(std::string_view step, const StepCheck& check, std::size_t index);

}  // namespace reflect
