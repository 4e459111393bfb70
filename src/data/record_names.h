// Under which names a record's texts stand in its row, for reading and writing it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "reflect/data/record.h"

namespace reflect {

// What follows the last line that starts with "####"; without one the whole text.
std::string gold_answer(std::string_view text);

// The prompt that `other` already holds under its own names.
std::optional<std::string> prompt_in(const Json& other);

const char* response_key(const Json& other);

// The `answer` field as it came, when it is not the gold answer itself.
const Json* raw_answer(const Record& record);

}  // namespace reflect
