// The rows that a report shows, with their spans coloured.
#pragma once

#include <string>

#include "score/report.h"

namespace reflect {

std::string example_rows(const ReportInput& input);  // HTML

}  // namespace reflect
