// Reads a finished trace of an executable problem and computes every step again.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reflect/data/trace.h"
#include "reflect/tasks/procedural.h"

namespace reflect {

// Whether the trace is what its spans say, by its text alone: every line outside errors carries out
// a possible step rightly; every error starts with a step that is wrong or not possible yet; every
// wrong step is done rightly in the correction of its round; the last step is reached. An attempt
// outside errors must answer a reflection and meet one. Returns the reason if not.
std::optional<std::string> audit(const Family& family, const Program& program,
                                 std::string_view response, const std::vector<Span>& spans);

}  // namespace reflect
