// Reads solutions: their steps and their final answer.
#pragma once

#include <string>
#include <vector>

#include "recipes/task.h"

namespace reflect {

// The lines of a solution without calculator annotations and without the line of the final answer
// ("#### 17", "A: 17").
std::vector<std::string> steps_of(const std::string& solution);

// A text whose final answer stands on a line "#### 17" or "A: 17".
Solution solution_of(std::string source, const std::string& text);

// A model's reply: a trace with tags, the lines of whose thinking (reflections and their tags
// included) are the steps, or such a text.
Solution solution_of_reply(std::string source, const std::string& reply);

}  // namespace reflect
