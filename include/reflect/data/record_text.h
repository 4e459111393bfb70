// A record as the text of its JSON object.
#pragma once

#include <string>

#include "reflect/data/record.h"

namespace reflect {

// json_of(record).dump() at a fifth of its cost, without the tree in between. Throws
// Json::exception for text that is not valid UTF-8.
std::string json_text_of(const Record& record);

}  // namespace reflect
