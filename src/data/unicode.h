// Character classes and normal forms of Unicode (utf8proc's tables).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace reflect {

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

std::optional<NormalForm> normal_form_named(std::string_view name);  // "NFC", "NFD", ...

// `text` must be valid UTF-8.
std::string normalized(std::string_view text, NormalForm form);

// Unicode's NFKC_Casefold: compatibility forms replaced, case folded, ignorable characters (soft
// hyphens, joiners, variation selectors) removed. `text` must be valid UTF-8.
std::string casefolded(std::string_view text);

// Bytes of the first extended grapheme cluster; no normal form acts across its border.
std::size_t first_grapheme(std::string_view text);

bool is_white_space(char32_t c);     // the White_Space property
bool is_word_character(char32_t c);  // letters, marks, decimal digits, connectors: a regex's \w

enum class WordPart { kNone, kLetter, kMark };  // a number counts as a letter
WordPart word_part(char32_t c);

}  // namespace reflect
