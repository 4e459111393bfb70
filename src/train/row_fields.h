// Numbers in rows that the order of training depends on, named by their path ("scores.ifd_ppl").
#pragma once

#include <optional>
#include <string_view>

#include "reflect/data/record.h"

namespace reflect {

// The number at a dotted path of a JSON object; nothing where there is none. "ifd" and "rifd" are
// scores.ifd_ppl and scores.rifd_ppl.
std::optional<double> number_at(const Json& row, std::string_view path);

}  // namespace reflect
