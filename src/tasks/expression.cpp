#include "tasks/expression.h"

#include <algorithm>
#include <array>
#include <utility>

namespace reflect {
namespace {

constexpr int kMaxParenDepth = 100;
constexpr int kMaxUnitWords = 3;

constexpr std::array<Operator, 10> kOperators = {{{"+", '+'},
                                                  {"-", '-'},
                                                  {"−", '-'},
                                                  {"–", '-'},
                                                  {"*", '*'},
                                                  {"×", '*'},
                                                  {"·", '*'},
                                                  {"/", '/'},
                                                  {"÷", '/'},
                                                  {"^", '^'}}};

bool joins_clauses(std::string_view word) {
  constexpr std::array<std::string_view, 16> words = {
      "and",     "or", "is",    "was",  "are",  "were",  "then", "so",
      "because", "if", "since", "when", "that", "which", "to",   "already"};
  return std::find(words.begin(), words.end(), word) != words.end();
}

// Recursive descent over one line of text; every method leaves `at_` behind what it has read, or
// unchanged when it returns nothing.
class ExpressionReader {
 public:
  ExpressionReader(std::string_view text, std::size_t begin, const Variables& variables)
      : text_(text), variables_(variables), at_(begin) {}

  std::optional<Expression> read() {
    const std::size_t begin = at_;
    auto expression = read_sum();
    if (!expression) return std::nullopt;
    expression->begin = begin;
    expression->end = at_;
    return expression;
  }

 private:
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  std::size_t past_space(std::size_t at) const {
    while (at < text_.size() && is_space(text_[at])) ++at;
    return at;
  }
  void skip_space() { at_ = past_space(at_); }
  bool take(std::string_view token) {
    if (!text_.substr(at_).starts_with(token)) return false;
    at_ += token.size();
    return true;
  }

  std::optional<Expression> read_sum() {
    auto sum = read_product();
    while (sum) {
      const std::size_t before = at_;
      skip_space();
      const Operator* op = operator_at(text_, at_);
      if (op == nullptr || (op->kind != '+' && op->kind != '-')) return at_ = before, sum;
      at_ += op->text.size();
      const auto term = read_product();
      if (!term) return at_ = before, sum;
      sum = combined(*sum, *term, op->kind);
    }
    return sum;
  }

  std::optional<Expression> read_product() {
    auto product = read_factor();
    bool divided = false;
    while (product) {
      const std::size_t before = at_;
      const char kind = take_product_operator();
      if (kind == 0) return product;
      const auto factor = read_factor();
      if (!factor) return at_ = before, product;
      product = combined(*product, *factor, kind);
      product->is_ambiguous = product->is_ambiguous || (kind == '/' && divided);
      divided = divided || kind == '/';
    }
    return product;
  }

  // '*', '/', "x" between operands, or nothing before a bracket: "2(3 + 4)".
  char take_product_operator() {
    if (peek() == '(') return '*';
    const std::size_t before = at_;
    skip_space();
    const Operator* op = operator_at(text_, at_);
    if (op != nullptr && (op->kind == '*' || op->kind == '/')) {
      at_ += op->text.size();
      return op->kind;
    }
    if (is_times_letter(at_)) {
      ++at_;
      return '*';
    }
    at_ = before;
    return 0;
  }

  // "5x4", "5 x 4", "5 x -4"; the letter of "5x - 4" is a variable.
  bool is_times_letter(std::size_t at) const {
    if (at >= text_.size() || (text_[at] != 'x' && text_[at] != 'X')) return false;
    const std::size_t next = past_space(at + 1);
    if (next >= text_.size()) return false;
    if (text_[next] != '-') return starts_operand(next);
    return at > 0 && is_space(text_[at - 1]) && next + 1 < text_.size() &&
           is_digit(text_[next + 1]);
  }

  bool starts_operand(std::size_t at) const {
    constexpr std::string_view starts = "0123456789.($-";
    return at < text_.size() && starts.find(text_[at]) != starts.npos;
  }

  static Expression combined(const Expression& left, const Expression& right, char kind) {
    Expression result;
    switch (kind) {
      case '+':
        result.value = left.value + right.value;
        break;
      case '-':
        result.value = left.value - right.value;
        break;
      case '*':
        result.value = left.value * right.value;
        break;
      default:
        result.value = left.value / right.value;
    }
    result.first = left.first;
    result.operators = left.operators + right.operators + 1;
    result.has_percent = left.has_percent || right.has_percent;
    result.unit = left.unit.empty() ? right.unit : left.unit;
    const bool mixes_units = (kind == '+' || kind == '-') && !left.unit.empty() &&
                             !right.unit.empty() && !same_unit(left.unit, right.unit);
    result.is_ambiguous = left.is_ambiguous || right.is_ambiguous || mixes_units;
    return result;
  }

  // "hour" and "hours" are the same.
  static bool same_unit(std::string_view a, std::string_view b) {
    return a.starts_with(b) || b.starts_with(a);
  }

  std::optional<Expression> read_factor() {
    if (++depth_ > kMaxParenDepth) return std::nullopt;
    const std::size_t before = at_;
    auto factor = read_signed();
    if (!factor) at_ = before;
    --depth_;
    return factor;
  }

  std::optional<Expression> read_signed() {
    skip_space();
    const Operator* sign = operator_at(text_, at_);
    if (sign != nullptr && (sign->kind == '-' || sign->kind == '+')) {
      at_ += sign->text.size();
      auto operand = read_factor();
      if (!operand) return std::nullopt;
      if (sign->kind == '-') operand->value = -operand->value;
      operand->first = operand->value;
      operand->name = 0;
      return operand;
    }
    for (const std::string_view currency : {"\\$", "$", "€", "£"}) {
      if (take(currency)) return read_factor();
    }
    if (peek() == '(' || peek() == '[') return read_bracketed();
    if (is_letter(peek())) return read_variable();
    return read_plain_number();
  }

  std::optional<Expression> read_bracketed() {
    const char close = peek() == '(' ? ')' : ']';
    ++at_;
    auto inner = read_sum();
    skip_space();
    if (!inner || peek() != close) return std::nullopt;
    ++at_;
    inner->name = 0;
    inner->first = inner->value;
    read_suffix(*inner);
    return inner;
  }

  std::optional<Expression> read_variable() {
    if (word_at(text_, at_).size() != 1 || is_digit(peek(1)) || peek(1) == '\'') {
      return std::nullopt;
    }
    Expression variable;
    variable.name = peek();
    const auto known = variables_.find(variable.name);
    if (known != variables_.end()) variable.value = known->second;
    variable.first = variable.value;
    ++at_;
    return variable;
  }

  std::optional<Expression> read_plain_number() {
    const auto number = read_number(text_.substr(at_));
    if (!number) return std::nullopt;
    at_ += number->length;
    Expression result;
    result.value = number->value;
    result.decimals = number->decimals;
    if (!is_times_letter(at_) &&
        word_at(text_, at_).size() == 1) {  // "2x", "25k": a variable or a multiplier
      result.value = Rational();
      ++at_;
    }
    read_suffix(result);
    return result;
  }

  void read_suffix(Expression& operand) {
    if (take("%")) {
      operand.value = operand.value / Rational(100);
      operand.has_percent = true;
    }
    operand.first = operand.value;
    const std::size_t end = end_of_units();
    if (end == at_) return;
    if (operand.unit.empty()) operand.unit = first_word(at_);
    at_ = end;
  }

  std::string_view first_word(std::size_t at) const {
    while (!is_letter(text_[at])) ++at;
    return word_at(text_, at);
  }

  // Behind the unit at `at_` ("square feet", "/hour", " miles per hour") when arithmetic goes on
  // after it, else `at_`.
  std::size_t end_of_units() const {
    std::size_t at = at_;
    for (int words = 0; words <= kMaxUnitWords; ++words) {
      const std::size_t next = past_space(at);
      if (words > 0 && goes_on(next)) return at;
      const std::size_t begin = next < text_.size() && text_[next] == '/' ? next + 1 : next;
      const std::string_view word = word_at(text_, begin);
      if (word.size() < 2 || is_arithmetic_word(word) || joins_clauses(word)) return at_;
      at = begin + word.size();
    }
    return at_;
  }

  bool goes_on(std::size_t at) const {
    if (at >= text_.size()) return false;
    if (text_[at] == '=' || text_[at] == ')' || text_[at] == ']') return true;
    const Operator* op = operator_at(text_, at);
    return op == nullptr ? is_times_letter(at) : starts_operand(past_space(at + op->text.size()));
  }

  std::string_view text_;
  const Variables& variables_;
  std::size_t at_;
  int depth_ = 0;
};

}  // namespace

const Operator* operator_at(std::string_view text, std::size_t at) {
  for (const Operator& op : kOperators) {
    if (text.substr(std::min(at, text.size())).starts_with(op.text)) return &op;
  }
  return nullptr;
}

std::string_view word_at(std::string_view text, std::size_t at) {
  std::size_t end = at;
  while (end < text.size() && is_letter(text[end])) ++end;
  return at < text.size() ? text.substr(at, end - at) : std::string_view();
}

bool is_arithmetic_word(std::string_view word) {
  constexpr std::array<std::string_view, 25> words = {
      "of",   "times", "plus",    "minus", "by",       "divided", "multiplied", "more",   "less",
      "over", "twice", "half",    "third", "thirds",   "quarter", "double",     "triple", "percent",
      "than", "dozen", "hundred", "k",     "thousand", "million", "billion"};
  return std::find(words.begin(), words.end(), word) != words.end();
}

std::optional<Expression> read_expression(std::string_view text, std::size_t begin,
                                          const Variables& variables) {
  return ExpressionReader(text, begin, variables).read();
}

}  // namespace reflect
