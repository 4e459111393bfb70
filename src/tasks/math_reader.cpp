#include "tasks/math_reader.h"

#include <algorithm>
#include <array>
#include <utility>

#include "reflect/base/white_space.h"
#include "tasks/expression.h"

namespace reflect {
namespace {

constexpr int kMaxReadDepth = 64;
constexpr std::size_t kMaxLetters = 3;  // of a product of variables; a longer run is a word

constexpr std::array<std::string_view, 44> kUnits = {
    "cm",      "mm",     "km",     "kg",      "mg",     "ml",      "mL",      "ft",     "yd",
    "lb",      "lbs",    "oz",     "hr",      "hrs",    "min",     "sec",     "mph",    "in",
    "inch",    "inches", "feet",   "foot",    "mile",   "miles",   "meter",   "meters", "metres",
    "hour",    "hours",  "minute", "minutes", "second", "seconds", "day",     "days",   "degree",
    "degrees", "units",  "unit",   "square",  "cubic",  "cents",   "dollars", "percent"};

bool is_unit(std::string_view word) {
  return std::ranges::find(kUnits, word) != kUnits.end();
}

// Recursive descent. A method that returns nothing ends the reading as a whole.
class MathReader {
 public:
  MathReader(std::string_view text, int sign) : text_(text), sign_(sign) {}

  std::optional<MathExpression> read() {
    auto value = sum();
    if (!value) return std::nullopt;
    MathExpression result;
    skip_space();
    result.has_percent = take("%") || take("percent");
    if (!take_units()) return std::nullopt;
    if (value->infinity == 0 && !is_finite(*value)) return std::nullopt;
    result.value = std::move(*value);
    result.has_both_signs = both_signs_;
    return result;
  }

 private:
  using Value = std::optional<MathValue>;

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  std::string_view rest() const { return text_.substr(at_); }
  void skip_space() {
    while (at_ < text_.size() && is_white_space(text_[at_])) ++at_;
  }
  bool take(std::string_view token) {
    skip_space();
    if (!rest().starts_with(token)) return false;
    at_ += token.size();
    return true;
  }
  // A command and not the start of a longer one.
  bool take_command(std::string_view name) {
    skip_space();
    if (!rest().starts_with(name) || word_at(text_, at_ + 1).size() + 1 != name.size())
      return false;
    at_ += name.size();
    return true;
  }

  Value sum() {
    if (++depth_ > kMaxReadDepth) return std::nullopt;
    Value result = signed_product();
    while (result) {
      int sign = 0;
      if (take("+")) {
        sign = 1;
      } else if (take("-")) {
        sign = -1;
      } else if (take_command("\\pm")) {
        both_signs_ = true;
        sign = sign_;
      } else {
        break;
      }
      const Value term = signed_product();
      if (!term) return std::nullopt;
      result = sign > 0 ? *result + *term : *result - *term;
    }
    --depth_;
    return result;
  }

  Value signed_product() {
    if (++depth_ > kMaxReadDepth) return std::nullopt;
    Value result;
    if (take("-")) {
      result = signed_product();
      if (result) result = -*result;
    } else if (take_command("\\pm")) {
      both_signs_ = true;
      result = signed_product();
      if (result && sign_ < 0) result = -*result;
    } else {
      take("+");
      result = product();
    }
    --depth_;
    return result;
  }

  Value product() {
    Value result = powered();
    while (result) {
      if (take("*")) {
        const Value factor = signed_factor();
        if (!factor) return std::nullopt;
        result = *result * *factor;
      } else if (take("/")) {
        const Value divisor = signed_factor();
        if (!divisor) return std::nullopt;
        result = *result / *divisor;
      } else if (starts_factor()) {
        const Value factor = powered();
        if (!factor) return std::nullopt;
        result = *result * *factor;
      } else {
        break;
      }
    }
    return result;
  }

  Value signed_factor() {
    if (!take("-")) return powered();
    const Value factor = powered();
    return factor ? Value(-*factor) : factor;
  }

  // Whether a factor follows without a sign: a letter, a bracket, a command. A unit is none.
  bool starts_factor() {
    skip_space();
    const char c = peek();
    if (c == '(' || c == '[' || c == '{') return true;
    if (c == '\\') {
      const std::string_view name = word_at(text_, at_ + 1);
      constexpr std::array<std::string_view, 5> others = {"text", "pm", "cup", "end", "in"};
      return !name.empty() && std::ranges::find(others, name) == others.end();
    }
    return is_letter(c) && !is_unit(word_at(text_, at_));
  }

  Value powered() {
    Value base = atom();
    while (base && take("!")) base = factorial(*base);
    if (!base || !take("^")) return base;
    const Value exponent = argument(true);
    return exponent ? Value(power(*base, *exponent)) : exponent;
  }

  // What an exponent or a command applies to: a group, or one sign or number.
  Value argument(bool whole_number) {
    skip_space();
    if (peek() == '{') return bracketed("{", "}");
    if (take("-")) {
      const Value value = argument(whole_number);
      return value ? Value(-*value) : value;
    }
    if (!whole_number && is_digit(peek())) {
      return MathValue::of(Rational(text_[at_++] - '0'));
    }
    return atom();
  }

  Value bracketed(std::string_view open, std::string_view close) {
    if (!take(open)) return std::nullopt;
    const Value inner = sum();
    return inner && take(close) ? inner : std::nullopt;
  }

  Value atom() {
    if (++depth_ > kMaxReadDepth) return std::nullopt;
    skip_space();
    Value value;
    const char c = peek();
    if (is_digit(c) || c == '.') {
      value = number();
    } else if (c == '(') {
      value = bracketed("(", ")");
    } else if (c == '[') {
      value = bracketed("[", "]");
    } else if (c == '{') {
      value = bracketed("{", "}");
    } else if (c == '|') {
      value = bracketed("|", "|");
      if (value) value = absolute(*value);
    } else if (c == '\\') {
      ++at_;
      value = named(word_at(text_, at_), true);
    } else if (is_letter(c)) {
      value = named(word_at(text_, at_), false);
    }
    --depth_;
    return value;
  }

  // "12", "1,234.5", "1e-3", "2 1/2", "2\frac12".
  Value number() {
    const auto written = read_number(rest());
    if (!written) return std::nullopt;
    at_ += written->length;
    Rational value = written->value;
    if (!take_exponent(value)) return std::nullopt;
    if (written->value.is_integer() && written->decimals == 0) {
      const std::size_t before = at_;
      if (take_command("\\frac")) {
        const Value top = argument(false), bottom = top ? argument(false) : top;
        if (!bottom) return std::nullopt;
        const Rational part = top->exact / bottom->exact;
        if (part.is_number()) return MathValue::of(value + part);
        at_ = before;  // a product: "2\frac{x}{3}"
      } else if (const auto part = plain_fraction()) {
        return MathValue::of(value + *part);
      }
    }
    return MathValue::of(value);
  }

  bool take_exponent(Rational& value) {
    if (peek() != 'e' && peek() != 'E') return true;
    std::size_t digits = at_ + 1;
    const bool negative = digits < text_.size() && text_[digits] == '-';
    if (negative) ++digits;
    const auto exponent = read_number(text_.substr(std::min(digits, text_.size())));
    if (!exponent || !exponent->value.is_integer()) return true;  // Euler's number
    if (Rational(38) < exponent->value) return false;
    const int power = static_cast<int>(exponent->value.numerator());
    value = value * power_of_ten(negative ? -power : power);
    at_ = digits + exponent->length;
    return true;
  }

  // " 1/2" behind a whole number.
  std::optional<Rational> plain_fraction() {
    const std::size_t before = at_;
    skip_space();
    const auto top = at_ == before ? std::nullopt : read_number(rest());
    if (top) {
      at_ += top->length;
      if (take("/")) {
        skip_space();
        if (const auto bottom = read_number(rest())) {
          at_ += bottom->length;
          return top->value / bottom->value;
        }
      }
    }
    at_ = before;
    return std::nullopt;
  }

  // A command (without its backslash), function, constant or variable at `at_`.
  Value named(std::string_view name, bool command) {
    if (name == "frac" && command) {
      at_ += name.size();
      const Value top = argument(false), bottom = top ? argument(false) : top;
      return bottom ? Value(*top / *bottom) : bottom;
    }
    if (name == "sqrt") {
      at_ += name.size();
      return square_root();
    }
    if (is_function(name)) {
      at_ += name.size();
      return function(name);
    }
    if (name == "pi") return at_ += name.size(), MathValue::pi();
    if (name == "infty" || name == "infinity") return at_ += name.size(), MathValue::infinite();
    if (command) {
      constexpr std::array<std::string_view, 12> greek = {"alpha", "beta",   "gamma", "delta",
                                                          "theta", "lambda", "mu",    "phi",
                                                          "rho",   "sigma",  "omega", "epsilon"};
      if (std::ranges::find(greek, name) == greek.end()) return std::nullopt;
      at_ += name.size();
      return MathValue::variable(with_index(std::string(name)));
    }
    if (name.empty() || name.size() > kMaxLetters) return std::nullopt;
    const char letter = text_[at_++];
    const bool plain = peek() != '_';
    if (letter == 'e' && plain) return MathValue::euler();
    if (letter == 'i' && plain) return MathValue::imaginary();
    return MathValue::variable(with_index(std::string(1, letter)));
  }

  // "x_1", "x_{12}".
  std::string with_index(std::string name) {
    if (peek() != '_') return name;
    ++at_;
    const bool group = peek() == '{';
    if (group) ++at_;
    name += '_';
    while (is_letter(peek()) || is_digit(peek())) {
      name += text_[at_++];
      if (!group) return name;
    }
    if (group) take("}");
    return name;
  }

  Value square_root() {
    MathValue degree = MathValue::of(Rational(2));
    if (take("[")) {
      const Value given = sum();
      if (!given || !take("]")) return std::nullopt;
      degree = *given;
    }
    const Value of = argument(false);
    return of ? Value(root(*of, degree)) : of;
  }

  // \log_2 8, \sin^2 x, ln(2), \cos 2x.
  Value function(std::string_view name) {
    Value base, exponent;
    if (name == "log" && take("_") && !(base = argument(false))) return std::nullopt;
    if (take("^") && !(exponent = argument(false))) return std::nullopt;
    skip_space();
    const bool group = peek() == '(' || peek() == '{' || peek() == '[' || peek() == '|';
    Value argument = atom();
    while (!group && argument && starts_factor()) {
      const Value factor = powered();
      argument = factor ? Value(*argument * *factor) : factor;
    }
    if (!argument) return argument;
    Value value = base ? *apply_function("ln", *argument) / *apply_function("ln", *base)
                       : apply_function(name, *argument);
    return exponent ? Value(power(*value, *exponent)) : value;
  }

  // Units to the end of the text; false where something else is there.
  bool take_units() {
    while (true) {
      skip_space();
      if (at_ == text_.size()) return true;
      if (take("\\text")) {
        const std::size_t end = text_.find('}', at_);
        if (peek() != '{' || end == text_.npos) return false;
        at_ = end + 1;
      } else if (const std::string_view word = word_at(text_, at_);
                 is_unit(word) || word == "per") {
        at_ += word.size();
      } else if (!take("/")) {
        return false;
      }
      if (take("^") && !take("2") && !take("3") && !take("{2}") && !take("{3}")) return false;
    }
  }

  std::string_view text_;
  int sign_;
  std::size_t at_ = 0;
  int depth_ = 0;
  bool both_signs_ = false;
};

}  // namespace

std::optional<MathExpression> read_math(std::string_view text, int sign) {
  return MathReader(text, sign).read();
}

}  // namespace reflect
