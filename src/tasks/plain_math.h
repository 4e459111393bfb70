// One spelling for mathematics that can be written in several ways.
#pragma once

#include <string>
#include <string_view>

namespace reflect {

// The text with spellings of the same thing made one: \dfrac is \frac, \cdot is *, \left and spaces
// of LaTeX are gone, ° and dollar signs too.
std::string plain_math(std::string_view text);

}  // namespace reflect
