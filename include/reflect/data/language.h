// The language that a text is written in, as far as its letters and commonest words tell.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace reflect {

// ISO 639-1 codes that language_of knows.
const std::vector<std::string_view>& language_codes();

// Scripts of one language decide by their letters (Greek, Hangul, Thai, ...); Han with kana is
// "ja", without it "zh"; Cyrillic and Arabic letters of one language tell "uk" from "ru" and "fa"
// from "ar"; languages in Latin letters are told by their commonest words. Nothing where there are
// fewer than 8 words (or 8 letters of another script), or two languages are about as likely:
// arithmetic, code, names.
std::optional<std::string_view> language_of(std::string_view text);

}  // namespace reflect
