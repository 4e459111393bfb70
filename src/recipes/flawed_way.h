// What would have followed had a trace's mistake gone unnoticed: the rejected half of a preference
// pair.
#pragma once

#include <optional>
#include <string>

#include "recipes/task.h"

namespace reflect {

// A trace without a reflection on the mistake, up to a wrong answer. Of a recorded solution it is
// that solution; of an executable one the first mistake that has a value, and the needed steps
// after it computed from that value. It begins as the accepted trace does. Nothing where the trace
// has no such mistake, where nothing follows from it, or where the answer comes out right
// nevertheless.
std::optional<std::string> flawed_way(const TraceRow& row);

}  // namespace reflect
