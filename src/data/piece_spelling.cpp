#include "data/piece_spelling.h"

#include <array>
#include <charconv>

#include "data/utf8.h"

namespace reflect {
namespace {

// Visible Latin-1 bytes spell themselves; the others follow from U+0100 on, in order.
constexpr bool spells_itself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
}

constexpr auto kByteOfCharacter = [] {
  std::array<int, 0x144> table{};
  table.fill(-1);
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte)
    table[static_cast<std::size_t>(spells_itself(byte) ? byte : next++)] = byte;
  return table;
}();

}  // namespace

std::optional<std::string> byte_level_bytes(std::string_view name) {
  std::string bytes;
  while (!name.empty()) {
    const Utf8Character character = first_character(name);
    if (character.code_point >= kByteOfCharacter.size()) return std::nullopt;
    const int byte = kByteOfCharacter[character.code_point];
    if (byte < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(byte));
    name.remove_prefix(character.length);
  }
  return bytes;
}

std::optional<unsigned char> byte_token_value(std::string_view name) {
  if (name.size() != 6 || !name.starts_with("<0x") || name[5] != '>') return std::nullopt;
  unsigned char value = 0;
  const char* end = name.data() + 5;
  const auto [stop, error] = std::from_chars(name.data() + 3, end, value, 16);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

std::string with_spaces(std::string_view name, std::string_view mark) {
  std::string text;
  while (!name.empty()) {
    const bool is_mark = name.starts_with(mark);
    text.push_back(is_mark ? ' ' : name[0]);
    name.remove_prefix(is_mark ? mark.size() : 1);
  }
  return text;
}

}  // namespace reflect
