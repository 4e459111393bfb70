#include "tasks/plain_math.h"

#include <algorithm>
#include <array>
#include <utility>

#include "tasks/expression.h"

namespace reflect {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 48> kSpellings = {{
    {"\\\\", "\\\\"},
    {"\\left", ""},
    {"\\right", ""},
    {"\\displaystyle", ""},
    {"\\!", ""},
    {"\\,", " "},
    {"\\;", " "},
    {"\\:", " "},
    {"\\ ", " "},
    {"\\qquad", " "},
    {"\\quad", " "},
    {"~", " "},
    {"{,}", ","},
    {"\\dfrac", "\\frac"},
    {"\\tfrac", "\\frac"},
    {"\\cfrac", "\\frac"},
    {"\\cdot", "*"},
    {"\\times", "*"},
    {"×", "*"},
    {"·", "*"},
    {"⋅", "*"},
    {"\\div", "/"},
    {"÷", "/"},
    {"−", "-"},
    {"–", "-"},
    {"**", "^"},
    {"^{\\circ}", ""},
    {"^\\circ", ""},
    {"\\circ", ""},
    {"°", ""},
    {"\\%", "%"},
    {"\\$", ""},
    {"$", ""},
    {"π", "\\pi "},
    {"√", "\\sqrt"},
    {"∞", "\\infty "},
    {"±", "\\pm "},
    {"²", "^2"},
    {"³", "^3"},
    {"\\mathrm", "\\text"},
    {"\\textbf", "\\text"},
    {"\\textit", "\\text"},
    {"\\mbox", "\\text"},
    {"\\mathbf", "\\text"},
    {"\\lvert", "|"},
    {"\\rvert", "|"},
    {"\\vert", "|"},
    {"∪", "\\cup "},
}};

}  // namespace

std::string plain_math(std::string_view text) {
  std::string plain;
  while (!text.empty()) {
    const auto* spelling = std::ranges::find_if(
        kSpellings, [&](const auto& each) { return text.starts_with(each.first); });
    // "\left" is not the start of "\leftarrow".
    const bool known =
        spelling != kSpellings.end() &&
        !(spelling->first.size() > 2 && spelling->first[0] == '\\' &&
          is_letter(spelling->first.back()) && text.size() > spelling->first.size() &&
          is_letter(text[spelling->first.size()]));
    plain += known ? spelling->second : text.substr(0, 1);
    text.remove_prefix(known ? spelling->first.size() : 1);
  }
  return plain;
}

}  // namespace reflect
