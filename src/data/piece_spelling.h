// How vocabularies spell the bytes of their tokens.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace reflect {

inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581, SentencePiece's space

// GPT-2's way, every byte a visible character: "Ġthe" is " the". Nothing when a character of
// `name` spells no byte.
std::optional<std::string> byte_level_bytes(std::string_view name);

// SentencePiece's byte tokens: "<0x0A>" is 10.
std::optional<unsigned char> byte_token_value(std::string_view name);

// `name` with a space for every `mark`.
std::string with_spaces(std::string_view name, std::string_view mark = kSpaceMark);

}  // namespace reflect
