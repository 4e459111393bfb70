// Tokens that are found in a text by their exact name, before any splitting.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/regex.h"
#include "reflect/data/tokenizer.h"

namespace reflect {

struct AddedToken {
  std::int32_t id = 0;
  std::string text;
  bool special = false;
  bool normalized = false;   // looked for after normalization, else before
  bool single_word = false;  // only where no word character stands beside it
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // takes the white space after it
};

// A stretch of a text: one added token or text that holds none.
struct TextPart {
  ByteRange range;
  const AddedToken* token = nullptr;
};

// Finds the longest of several literal texts at each place (a byte trie).
class AddedTokenFinder {
 public:
  // `tokens` must outlive the finder; `names[i]` is what to look for in place of tokens[i].text.
  void add(const AddedToken& token, std::string_view name);
  // Parts that cover `text`. Special tokens are left as text under SpecialText::kPlain.
  std::vector<TextPart> split(std::string_view text, SpecialText special) const;

 private:
  struct Match {
    std::size_t end;
    const AddedToken* token;
  };
  std::optional<Match> longest_at(std::string_view text, std::size_t begin) const;

  std::unordered_map<std::uint32_t, std::uint32_t> edges_;  // node << 8 | byte -> node
  std::vector<const AddedToken*> ends_ = {nullptr};         // by node
  bool begins_[256] = {};
};

// Closes gaps: a token begins where the one before it ends, the last ends with the text.
void cover_text(std::vector<Token>& tokens, std::size_t text_size);

}  // namespace reflect
