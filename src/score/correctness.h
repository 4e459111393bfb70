// Whether a row's answer is right, as far as the row says.
#pragma once

#include <optional>
#include <string>

#include "reflect/data/record.h"

namespace reflect {

// `by`: "recorded", "checker", "auto" (recorded, else checker) or "off". Nothing when unknown.
// Recorded is what the row, or its lineage, has as `correct: true|false`, `verdict: true|false` or
// `verdict: {"right": true|false}`. The checker compares the final answer of the response (its
// <output>, what follows "####", or all of it where that reads as an answer) with the gold answer.
std::optional<bool> correctness(const Record& record, const std::string& by);

}  // namespace reflect
