// Cuts a text into lines or sentences.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace reflect {

// Bytes [begin, end) of a text; never empty.
struct TextPiece {
  std::size_t begin;
  std::size_t end;
  std::string_view in(std::string_view text) const { return text.substr(begin, end - begin); }
};

// Lines without their ends.
std::vector<TextPiece> lines_in(std::string_view text);

// A sentence ends at a line's end and after ". "; white space at its ends is not part of it.
std::vector<TextPiece> sentences_in(std::string_view text);

}  // namespace reflect
