// ASCII white space and text without it at the ends.
#pragma once

#include <string_view>

namespace reflect {

inline constexpr std::string_view kWhiteSpace = " \t\n\v\f\r";

inline bool is_white_space(char c) {
  return kWhiteSpace.find(c) != kWhiteSpace.npos;
}

inline std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kWhiteSpace);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(kWhiteSpace) + 1 - begin);
}

}  // namespace reflect
