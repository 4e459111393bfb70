// UTF-8: reading one character, and telling valid text from broken text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace reflect {

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD

// One character at the start of a text, or the maximal subpart of an ill-formed one (Unicode
// 15, section 3.9): the longest prefix that could have begun a character, at least one byte.
struct Utf8Character {
  char32_t code_point;  // U+FFFD when not valid
  std::uint8_t length;  // bytes; at least 1
  bool valid;
  bool truncated;  // not valid only because the text ends inside it
};

// `text` must not be empty.
Utf8Character first_character(std::string_view text);

// Bytes up to the first ill-formed one; text.size() when all is valid.
std::size_t valid_prefix(std::string_view text);

void append_utf8(std::string& out, char32_t code_point);

}  // namespace reflect
