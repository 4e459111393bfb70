// GPT-2's spelling of bytes as visible characters, which byte-level vocabularies are written in.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace reflect {

// The bytes that `name` spells ("Ġthe" -> " the"); nothing when a character of it spells no byte.
std::optional<std::string> byte_level_bytes(std::string_view name);

}  // namespace reflect
