// Kinds of ASCII characters in mathematical text, whatever the locale.
#pragma once

namespace reflect {

constexpr bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
constexpr bool is_space(char c) {  // within a line
  return c == ' ' || c == '\t';
}

}  // namespace reflect
