#include "recipes/text_pieces.h"

#include <algorithm>

namespace reflect {

std::vector<TextPiece> lines_in(std::string_view text) {
  std::vector<TextPiece> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    if (end > begin) lines.push_back({begin, end});
    begin = end + 1;
  }
  return lines;
}

std::vector<TextPiece> sentences_in(std::string_view text) {
  std::vector<TextPiece> sentences;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t stop = text.find(". ", begin);
    const std::size_t end =
        std::min({text.find('\n', begin), stop == text.npos ? stop : stop + 1, text.size()});
    const std::string_view piece = text.substr(begin, end - begin);
    const std::size_t first = piece.find_first_not_of(" \t\r");
    if (first != piece.npos) {
      sentences.push_back({begin + first, begin + piece.find_last_not_of(" \t\r") + 1});
    }
    begin = end + 1;
  }
  return sentences;
}

}  // namespace reflect
