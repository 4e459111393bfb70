#include "reflect/tasks/checker.h"

#include <algorithm>
#include <array>
#include <utility>

#include "reflect/base/error.h"
#include "reflect/base/white_space.h"
#include "reflect/tasks/code_checker.h"
#include "reflect/tasks/math_checker.h"
#include "reflect/tasks/rational.h"
#include "tasks/characters.h"

namespace reflect {
namespace {

char upper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text = trimmed(text.substr(prefix.size()));
  return true;
}

// Takes off what may stand around an answer: \boxed{...}, $...$, a full stop.
std::string_view unwrapped(std::string_view text) {
  text = trimmed(text);
  if (text.ends_with('.')) text = trimmed(text.substr(0, text.size() - 1));
  for (const auto& [open, close] :
       {std::pair("\\boxed{", "}"), std::pair("\\(", "\\)"), std::pair("$", "$")}) {
    const std::string_view begin(open), end(close);
    if (text.size() > begin.size() + end.size() && text.starts_with(begin) && text.ends_with(end)) {
      text = trimmed(text.substr(begin.size(), text.size() - begin.size() - end.size()));
    }
  }
  return text;
}

// Takes signs and currency signs; returns whether the number is negative.
bool take_signs(std::string_view& text) {
  constexpr std::array<std::string_view, 5> currencies = {"\\$", "$", "€", "£", "¥"};
  bool negative = false;
  bool has_sign = false;
  bool has_currency = false;
  while (true) {
    if (!has_sign && (take_prefix(text, "-") || take_prefix(text, "−"))) {
      negative = has_sign = true;
    } else if (!has_sign && take_prefix(text, "+")) {
      has_sign = true;
    } else if (!has_currency &&
               std::any_of(currencies.begin(), currencies.end(),
                           [&](auto currency) { return take_prefix(text, currency); })) {
      has_currency = true;
    } else {
      return negative;
    }
  }
}

std::optional<Rational> take_digits(std::string_view& text) {
  const auto number = read_number(text);
  if (!number) return std::nullopt;
  text.remove_prefix(number->length);
  return number->value;
}

// "/3" or " 1/2" behind the number that was read.
std::optional<Rational> take_rest_of_fraction(std::string_view& text, const Rational& first) {
  std::string_view rest = trimmed(text);
  if (take_prefix(rest, "/")) {
    const auto denominator = take_digits(rest);
    if (!denominator) return first;  // a unit: "6 /day"
    text = rest;
    return first / *denominator;
  }
  const auto numerator = take_digits(rest);
  if (!numerator) return first;
  if (rest.data() == text.data() || !take_prefix(rest, "/")) return std::nullopt;
  const auto denominator = take_digits(rest);
  if (!denominator) return std::nullopt;
  text = rest;
  return first + *numerator / *denominator;
}

// \frac{1}{2} behind the command's name.
std::optional<Rational> take_latex_fraction(std::string_view& text) {
  std::array<Rational, 2> parts;
  for (Rational& part : parts) {
    if (!take_prefix(text, "{")) return std::nullopt;
    const bool negative = take_signs(text);
    const auto value = take_digits(text);
    if (!value || !take_prefix(text, "}")) return std::nullopt;
    part = negative ? -*value : *value;
  }
  return parts[0] / parts[1];
}

std::optional<Rational> take_exponent(std::string_view& text, const Rational& mantissa) {
  std::string_view rest = text;
  if (!take_prefix(rest, "e") && !take_prefix(rest, "E")) return mantissa;
  const bool negative = take_signs(rest);
  const auto exponent = take_digits(rest);
  if (!exponent) return mantissa;  // a unit: "3 eggs"
  if (!exponent->is_integer() || Rational(38) < *exponent) return std::nullopt;
  text = rest;
  const int power = static_cast<int>(exponent->numerator());
  return mantissa * power_of_ten(negative ? -power : power);
}

std::optional<Rational> take_number(std::string_view& text) {
  const bool negative = take_signs(text);
  std::optional<Rational> value;
  if (take_prefix(text, "\\frac") || take_prefix(text, "\\dfrac") || take_prefix(text, "\\tfrac")) {
    value = take_latex_fraction(text);
  } else if (auto first = take_digits(text)) {
    first = take_exponent(text, *first);
    if (first) value = take_rest_of_fraction(text, *first);
  }
  if (!value || !value->is_number()) return std::nullopt;
  return negative ? -*value : *value;
}

// Units behind a number: up to three words of letters that make no sentence. Words for powers of
// ten multiply the number.
std::optional<Rational> scaled_by_units(std::string_view text, Rational value) {
  constexpr std::array<std::pair<std::string_view, int>, 4> powers = {
      {{"hundred", 2}, {"thousand", 3}, {"million", 6}, {"billion", 9}}};
  constexpr std::array<std::string_view, 24> sentence = {
      "is",   "isn",   "are",  "was",   "not",   "no",    "or",    "and",
      "but",  "to",    "if",   "than",  "plus",  "minus", "times", "more",
      "less", "dozen", "half", "would", "wrong", "so",    "from",  "as"};
  text = trimmed(text);
  for (int words = 0; !text.empty(); ++words) {
    std::size_t end = 0;
    while (end < text.size() && (is_letter(text[end]) || text[end] == '/' || text[end] == '-'))
      ++end;
    const std::string_view word = text.substr(0, end);
    if (word.empty() || !is_letter(word.back()) || words == 3) return std::nullopt;
    if (std::find(sentence.begin(), sentence.end(), word) != sentence.end()) return std::nullopt;
    for (const auto& [name, power] : powers) {
      if (word == name) value = value * power_of_ten(power);
    }
    text = text.substr(end);
    if (text == "." || text == "²" || text == "³") return value;
    if (!text.empty() && !is_white_space(text[0])) return std::nullopt;
    text = trimmed(text);
  }
  return value;
}

struct Quantity {
  Rational value;
  bool percent = false;
};

std::optional<Quantity> quantity_of(std::string_view text) {
  text = unwrapped(text);
  const auto value = take_number(text);
  if (!value) return std::nullopt;
  text = trimmed(text);
  if (take_prefix(text, "%") || take_prefix(text, "\\%") || take_prefix(text, "percent")) {
    if (!text.empty()) return std::nullopt;
    return Quantity{*value / Rational(100), true};
  }
  const auto scaled = scaled_by_units(text, *value);
  if (!scaled || !scaled->is_number()) return std::nullopt;
  return Quantity{*scaled, false};
}

bool equal(const Quantity& a, const Quantity& b) {
  if (a.value == b.value) return true;
  const Rational hundred(100);
  return a.percent != b.percent &&
         (a.percent ? a.value * hundred == b.value : a.value == b.value * hundred);
}

// The letter of a choice, upper case; 0 when the text is none.
char choice_of(std::string_view text) {
  text = unwrapped(text);
  const bool in_brackets = text.starts_with('(') || text.starts_with('[');
  if (in_brackets) text.remove_prefix(1);
  if (text.empty() || !is_letter(text[0])) return 0;
  const char letter = upper(text[0]);
  text.remove_prefix(1);
  if (text.empty()) return in_brackets ? 0 : letter;
  constexpr std::string_view closing = ")].:";
  if (closing.find(text[0]) == closing.npos || (in_brackets && text[0] != ')' && text[0] != ']')) {
    return 0;
  }
  text.remove_prefix(1);
  if (!text.empty() && !is_white_space(text[0])) return 0;
  for (std::size_t i = 0; i + 2 < text.size(); ++i) {
    const bool bracketed =
        (text[i] == '(' && text[i + 2] == ')') || (text[i] == '[' && text[i + 2] == ']');
    if (bracketed && is_letter(text[i + 1])) return 0;
  }
  return letter;
}

std::string single_spaced(std::string_view text) {
  std::string result;
  for (const char c : trimmed(text)) {
    if (!is_white_space(c)) {
      result += c;
    } else if (!result.ends_with(' ')) {
      result += ' ';
    }
  }
  return result;
}

Verdict verdict_of(bool right, std::string normalized) {
  return {right, right ? "right" : "wrong", std::move(normalized)};
}

}  // namespace

Verdict check_number(std::string_view answer, std::string_view gold) {
  const auto expected = quantity_of(gold);
  if (!expected) return {false, "bad_gold", ""};
  if (trimmed(answer).empty()) return {false, "empty", ""};
  const auto given = quantity_of(answer);
  if (!given) return {false, "not_a_number", ""};
  return verdict_of(equal(*given, *expected), text_of(given->value));
}

Verdict check_choice(std::string_view answer, std::string_view gold) {
  const char expected = choice_of(gold);
  if (expected == 0) return {false, "bad_gold", ""};
  if (trimmed(answer).empty()) return {false, "empty", ""};
  const char given = choice_of(answer);
  if (given == 0) return {false, "not_a_choice", ""};
  return verdict_of(given == expected, std::string(1, given));
}

Verdict check_exact(std::string_view answer, std::string_view gold) {
  std::string given = single_spaced(answer);
  if (given.empty()) return {false, "empty", ""};
  const bool right = given == single_spaced(gold);
  return verdict_of(right, std::move(given));
}

const std::vector<std::string>& Checker::names() {
  static const std::vector<std::string> names = {"auto", "number", "choice",
                                                 "math", "exact",  "unit_tests"};
  return names;
}

Checker Checker::named(std::string_view name) {
  const auto& known = names();
  if (std::find(known.begin(), known.end(), name) == known.end()) {
    fail_usage("checker", "unknown checker '{}'; known: {}", name, fmt::join(known, ", "));
  }
  return Checker(std::string(name));
}

Verdict Checker::check(std::string_view answer, std::string_view gold) const {
  if (name_ == "number" || (name_ == "auto" && quantity_of(gold)))
    return check_number(answer, gold);
  if (name_ == "choice" || (name_ == "auto" && choice_of(gold) != 0)) {
    return check_choice(answer, gold);
  }
  const bool is_latex = name_ == "auto" && gold.find('\\') != gold.npos;
  if (name_ == "math" || is_latex) return check_math(answer, gold);
  if (name_ == "unit_tests") return check_unit_tests(answer, gold);
  return check_exact(answer, gold);
}

std::optional<std::string> extract_final_answer(std::string_view solution) {
  std::optional<std::string> answer;
  std::string_view last_line;
  while (!solution.empty()) {
    const std::size_t end = std::min(solution.find('\n'), solution.size());
    const std::string_view line = trimmed(solution.substr(0, end));
    if (line.starts_with("####")) answer = std::string(trimmed(line.substr(4)));
    if (!line.empty()) last_line = line;
    solution.remove_prefix(std::min(end + 1, solution.size()));
  }
  if (!answer && last_line.starts_with("A:")) answer = std::string(trimmed(last_line.substr(2)));
  return answer;
}

}  // namespace reflect
