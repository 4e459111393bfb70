#include "reflect/tasks/step_checker.h"

#include <algorithm>
#include <array>

#include "tasks/expression.h"

namespace reflect {
namespace {

// What a written equation claims: expressions that are all equal.
using Chain = std::vector<Expression>;

std::size_t past_space(std::string_view text, std::size_t at) {
  while (at < text.size() && is_space(text[at])) ++at;
  return at;
}

bool is_equals_sign(std::string_view text, std::size_t at) {
  return at < text.size() && text[at] == '=' &&
         (at + 1 == text.size() || (text[at + 1] != '=' && text[at + 1] != '>'));
}

// The last word before `at`, spaces between them left out; empty when something else stands there.
std::string_view word_before(std::string_view text, std::size_t at) {
  std::size_t begin = at;
  while (begin > 0 && is_letter(text[begin - 1])) --begin;
  return text.substr(begin, at - begin);
}

bool ends_with_quote(std::string_view text) {
  return text.ends_with("’") || text.ends_with("”") || text.ends_with("“") || text.ends_with("‘");
}

std::string_view trimmed_right(std::string_view text) {
  return text.substr(0, text.find_last_not_of(" \t") + 1);
}

// "1/2"
bool is_fraction(std::string_view text, std::size_t at) {
  std::size_t slash = at;
  while (slash < text.size() && is_digit(text[slash])) ++slash;
  return slash > at && slash + 1 < text.size() && text[slash] == '/' && is_digit(text[slash + 1]);
}

// Whether the text before an "of" or "and" makes them arithmetic: "20% of", "half of", "1 and 1/2".
bool ends_in_share(std::string_view text) {
  return !text.empty() && (text.back() == '%' || is_digit(text.back()) ||
                           is_arithmetic_word(word_before(text, text.size())));
}

// Whether `text` ends in the bullet of a list.
bool ends_in_bullet(std::string_view text) {
  if (!text.ends_with('-') && !text.ends_with('*')) return false;
  const std::size_t line = text.rfind('\n');
  return past_space(text, line == text.npos ? 0 : line + 1) + 1 == text.size();
}

bool ends_in_operator(std::string_view text) {
  for (std::size_t length = 1; length <= 3 && length <= text.size(); ++length) {
    const Operator* op = operator_at(text, text.size() - length);
    if (op != nullptr && op->text.size() == length) return !ends_in_bullet(text);
  }
  return false;
}

// Whether the word that ends `text` cannot be part of the expression that goes on with
// `expression`.
bool ends_in_plain_word(std::string_view text, std::string_view expression) {
  const std::string_view word = word_before(text, text.size());
  const std::string_view rest = trimmed_right(text.substr(0, text.size() - word.size()));
  if (word == "and" && !rest.empty() && is_digit(rest.back())) return !is_fraction(expression, 0);
  if (word == "of" || word == "and") return !ends_in_share(rest);
  return word.size() > 1 && !is_arithmetic_word(word) && !ends_in_operator(rest);
}

// Whether what stands before `begin` cannot be the left part of the same expression.
bool starts_cleanly(std::string_view text, std::size_t begin) {
  std::string_view before = text.substr(0, begin);
  before = before.substr(0, before.find_last_not_of(" \t$([") + 1);
  const bool adjacent = before.size() == begin;
  if (before.empty() || before.back() == '\n' || ends_in_bullet(before)) return true;
  const char last = before.back();
  if (is_letter(last)) {
    return is_space(text[before.size()]) && ends_in_plain_word(before, text.substr(begin));
  }
  if (static_cast<unsigned char>(last) >= 0x80) return ends_with_quote(before);
  if (last == ':') return !adjacent;
  if (last == ',' && adjacent) return before.size() < 2 || !is_digit(before[before.size() - 2]);
  constexpr std::string_view clean = ".,;!?=\"'";
  return clean.find(last) != clean.npos;
}

// Whether what stands at `end` does not continue the expression before it.
bool ends_cleanly(std::string_view text, std::size_t end) {
  const std::size_t at = past_space(text, end);
  if (at >= text.size()) return true;
  if (is_letter(text[at])) {
    if (at == end) return false;
    const std::string_view word = word_at(text, at);
    if (word == "a" || word == "more" || word == "less") return true;  // "5 a day", "5 more"
    const std::size_t next = past_space(text, at + word.size());
    const bool mixed = word == "and" && is_fraction(text, next);
    return word.size() > 1 && !mixed && !is_arithmetic_word(word);
  }
  if (text[at] == '/') return is_letter(text[std::min(at + 1, text.size() - 1)]);
  if (static_cast<unsigned char>(text[at]) >= 0x80) return ends_with_quote(text.substr(0, at + 3));
  constexpr std::string_view clean = "\n.,;!?)=\"']";
  if (clean.find(text[at]) != clean.npos) return true;
  return text[at] == ':' && !(at + 1 < text.size() && is_digit(text[at + 1]));
}

// Whether the text at `at` may be the first byte of an expression.
bool may_start(std::string_view text, std::size_t at) {
  const char c = text[at];
  if (is_digit(c) || c == '.' || c == '(' || c == '[' || c == '$') return true;
  if (is_letter(c)) return word_at(text, at).size() == 1;
  const bool sign = c == '-' || text.substr(at).starts_with("−");
  if (!sign) return false;
  const std::size_t next = at + (c == '-' ? 1 : std::string_view("−").size());
  return next < text.size() && (is_digit(text[next]) || text[next] == '(' || text[next] == '$');
}

// The chain that starts at `begin` and goes on with `chain`; empty where there is none. Its last
// expression has an unknown value when the text goes on in a way that may change it.
Chain read_chain(std::string_view text, std::size_t begin, const Variables& variables,
                 Chain chain = {}) {
  std::size_t at = begin;
  while (true) {
    const auto expression = read_expression(text, at, variables);
    if (!expression) break;
    chain.push_back(*expression);
    at = past_space(text, expression->end);
    if (!is_equals_sign(text, at)) break;
    at = past_space(text, at + 1);
  }
  if (chain.size() < 2) return {};
  Expression& last = chain.back();
  if (!ends_cleanly(text, last.end)) last.value = Rational();
  const std::size_t next = past_space(text, last.end);
  if (last.unit.empty()) last.unit = word_at(text, next);
  return chain;
}

// A step "= 3 * 4" goes on with the chain that ended the step before it at `value`.
Chain continued_chain(std::string_view text, const Rational& value, const Variables& variables) {
  const std::size_t at = past_space(text, 0);
  if (!is_equals_sign(text, at) || !value.is_number()) return {};
  Expression before;
  before.value = before.first = value;
  before.operators = 1;
  return read_chain(text, past_space(text, at + 1), variables, {before});
}

// Where to look for an expression after none was found at `at`.
std::size_t next_start(std::string_view text, std::size_t at) {
  if (const auto number = read_number(text.substr(at))) return at + number->length;
  const std::size_t word = word_at(text, at).size();
  return at + std::max<std::size_t>(word, 1);
}

// The first chain at or after `at`; empty when there is none.
Chain next_chain(std::string_view text, std::size_t at, const Variables& variables) {
  for (; at < text.size(); at = next_start(text, at)) {
    if (!may_start(text, at) || !starts_cleanly(text, at)) continue;
    Chain chain = read_chain(text, at, variables);
    if (!chain.empty()) return chain;
  }
  return {};
}

// In a word problem "2 + 3 = 5 * 4 = 20" is a way of writing and 7 / 2 = 3 may be meant so; in the
// rewriting of an expression they are mistakes.
enum class Style { kWordProblem, kRewriting };

// Whether `written`, a number with its decimals, is `exact` rounded or cut there. Whole numbers may
// be rounded up too (bags needed); results with many decimals come from floating-point calculators.
bool is_rounded(const Expression& written, const Rational& exact, Style style) {
  constexpr int kFloatingPoint = 9;
  if (!written.is_number()) return false;
  if (written.decimals == 0 && (exact.is_integer() || style == Style::kRewriting)) return false;
  const Rational last_digit = power_of_ten(-std::min(written.decimals, kFloatingPoint));
  const Rational difference = abs(exact - written.value);
  const bool nearest = !(last_digit < difference * Rational(2));
  const bool any_side = written.decimals == 0 || written.decimals >= kFloatingPoint;
  return nearest || (difference < last_digit && (any_side || abs(written.value) < abs(exact)));
}

// Whether one value may be the other in another unit.
bool is_conversion(const Rational& a, const Rational& b) {
  constexpr std::array<int, 15> factors = {3,  4,  7,   12,  16,   24,   30,  36,
                                           52, 60, 100, 365, 1000, 3600, 5280};
  return std::any_of(factors.begin(), factors.end(), [&](int factor) {
    return a == b * Rational(factor) || b == a * Rational(factor);
  });
}

enum class Link { kUnknown, kHolds, kBroken };

Link check_link(const Expression& left, const Expression& right, Style style) {
  if (!(left.value - right.value).is_number()) return Link::kUnknown;
  if (left.value == right.value || is_rounded(right, left.value, style) ||
      is_rounded(left, right.value, style)) {
    return Link::kHolds;
  }
  const bool runs_on =
      style == Style::kWordProblem && right.operators > 0 && right.first == left.value;
  if (runs_on || left.has_percent || right.has_percent || left.is_ambiguous || right.is_ambiguous) {
    return Link::kUnknown;
  }
  const bool units = !left.unit.empty() || !right.unit.empty();
  return units && is_conversion(left.value, right.value) ? Link::kUnknown : Link::kBroken;
}

// One spelling of operators, neighbouring signs joined, no spaces and brackets: copies of an
// expression compare equal.
std::string canonical(std::string_view text) {
  std::string joined;
  for (std::size_t at = 0; at < text.size();) {
    const Operator* op = operator_at(text, at);
    const char c = op != nullptr ? op->kind : text[at] == 'x' ? '*' : text[at];
    at += op != nullptr ? op->text.size() : 1;
    if (is_space(c)) continue;
    if (c == '-' && (joined.ends_with('-') || joined.ends_with('+'))) {
      joined.back() = joined.back() == '-' ? '+' : '-';
    } else {
      joined += c;
    }
  }
  std::erase_if(joined, [](char c) { return c == '(' || c == ')'; });
  return joined;
}

// The expression that the problem consists of or ends with; empty without one.
std::string problem_expression(std::string_view problem) {
  const std::size_t last = problem.find_last_not_of(" \t\n=?.");
  if (last == problem.npos) return {};
  problem = problem.substr(0, last + 1);
  for (std::size_t at = 0; at < problem.size(); at = next_start(problem, at)) {
    if (!may_start(problem, at) || !starts_cleanly(problem, at)) continue;
    const auto expression = read_expression(problem, at, {});
    if (expression && expression->operators > 0 && expression->end == problem.size()) {
      return canonical(problem.substr(at));
    }
  }
  return {};
}

// Takes the calculator annotations out of a step and leaves spaces in their place.
std::vector<std::pair<std::size_t, std::string_view>> blank_annotations(std::string_view step,
                                                                        std::string& blanked) {
  std::vector<std::pair<std::size_t, std::string_view>> annotations;
  blanked = step;
  for (std::size_t begin = step.find("<<"); begin != step.npos; begin = step.find("<<", begin)) {
    const std::size_t end = step.find(">>", begin);
    if (end == step.npos) break;
    annotations.emplace_back(begin + 2, step.substr(begin + 2, end - begin - 2));
    std::fill(blanked.begin() + static_cast<std::ptrdiff_t>(begin),
              blanked.begin() + static_cast<std::ptrdiff_t>(end + 2), ' ');
    begin = end + 2;
  }
  return annotations;
}

// Collects the verdict over the equations of one step, in the order in which they are checked.
class StepReview {
 public:
  StepReview(std::string_view step, Style style) : step_(step), style_(style) {}

  // `offset` is where the text that the expressions were read from begins in the step.
  void add_link(const Expression& left, const Expression& right, std::size_t offset) {
    const Link link = check_link(left, right, style_);
    if (link == Link::kUnknown) return;
    if (link == Link::kHolds) return add_right();
    add_wrong(offset + left.begin, offset + right.begin, offset + right.end, text_of(left.value));
  }

  void add_wrong(std::size_t begin, std::size_t written, std::size_t end, std::string expected) {
    if (check_.verdict == StepVerdict::kWrong && check_.begin <= begin) return;
    const std::size_t annotated = step_.substr(0, end).rfind(">>");
    if (annotated != step_.npos && annotated >= written) written = annotated + 2;
    check_ = {StepVerdict::kWrong, begin, end, std::move(expected),
              std::string(step_.substr(written, end - written))};
  }

  const StepCheck& check() const { return check_; }

 private:
  void add_right() {
    if (check_.verdict == StepVerdict::kNothing) check_.verdict = StepVerdict::kRight;
  }

  std::string_view step_;
  Style style_;
  StepCheck check_;
};

// Checks the links of a chain; returns its last known value.
Rational check_links(const Chain& chain, std::size_t offset, StepReview& review) {
  const Expression* known = nullptr;
  for (const Expression& expression : chain) {
    const bool label = &expression == &chain.front() && expression.is_number();
    if (label || !expression.value.is_number()) continue;
    if (known != nullptr) review.add_link(*known, expression, offset);
    known = &expression;
  }
  return known == nullptr ? Rational() : known->value;
}

// "answer is N" behind the last chain must repeat its value.
void check_stated_answer(std::string_view step, const Chain& chain, const Variables& variables,
                         StepReview& review) {
  constexpr std::string_view lead = "answer is";
  const std::size_t at = step.find(lead, chain.back().end);
  if (at == step.npos) return;
  const auto stated = read_expression(step, past_space(step, at + lead.size()), variables);
  if (stated && stated->is_number() && ends_cleanly(step, stated->end)) {
    review.add_link(chain.back(), *stated, 0);
  }
}

// A variable's first definition must be a part of the problem where that is an expression.
void check_definition(std::string_view step, const Expression& definition,
                      const std::string& problem, StepReview& review) {
  if (problem.empty() || definition.operators == 0) return;
  const auto written = step.substr(definition.begin, definition.end - definition.begin);
  if (problem.find(canonical(written)) != problem.npos) return;
  review.add_wrong(definition.begin, definition.begin, definition.end, "a part of the problem");
}

// The letters of a formula of variables ("(A + B) - C") in order; empty for any other text.
std::string variables_in(std::string_view formula) {
  const auto read = read_expression(formula, 0, {});
  if (!read || read->operators == 0 || read->end != formula.size()) return {};
  std::string letters;
  for (const char c : formula) {
    if (is_digit(c)) return {};
    if (is_letter(c)) letters += c;
  }
  std::ranges::sort(letters);
  return letters;
}

// The formula that stands in quotes; empty without one.
std::string quoted_formula(std::string_view step) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 3> quotes = {
      {{"\"", "\""}, {"“", "”"}, {"'", "'"}}};
  for (const auto& [open, close] : quotes) {
    const std::size_t begin = step.find(open);
    if (begin == step.npos) continue;
    const std::size_t end = step.find(close, begin + open.size());
    if (end == step.npos) continue;
    const auto text = step.substr(begin + open.size(), end - begin - open.size());
    if (!variables_in(text).empty()) return std::string(text);
  }
  return {};
}

// Another formula of the same variables must give what the one gives that the problem was said to
// be.
void check_formula(std::string_view step, const Expression& written, const std::string& formula,
                   const Variables& variables, StepReview& review) {
  const auto text = step.substr(written.begin, written.end - written.begin);
  const std::string letters = variables_in(text);
  if (letters.empty() || letters != variables_in(formula)) return;
  const Rational expected = read_expression(formula, 0, variables)->value;
  if (!(expected - written.value).is_number() || expected == written.value) return;
  review.add_wrong(written.begin, written.begin, written.end, formula);
}

}  // namespace

StepChecker::StepChecker(std::string_view problem) : problem_(problem_expression(problem)) {}

StepCheck StepChecker::check(std::string_view step) {
  StepReview review(step, problem_.empty() ? Style::kWordProblem : Style::kRewriting);
  std::string text;
  for (const auto& [offset, annotation] : blank_annotations(step, text)) {
    check_links(next_chain(annotation, 0, variables_), offset, review);
  }
  Chain last;
  Chain chain = continued_chain(text, last_value_, variables_);
  if (chain.empty()) chain = next_chain(text, 0, variables_);
  for (; !chain.empty(); chain = next_chain(text, last.back().end, variables_)) {
    const char name = chain.front().name;
    const bool is_new = name != 0 && !variables_.contains(name);
    if (is_new) check_definition(text, chain[1], problem_, review);
    if (!formula_.empty()) check_formula(text, chain.front(), formula_, variables_, review);
    if (name != 0 && !announced_.contains(name)) chain.front().value = Rational();
    const Rational value = check_links(chain, 0, review);
    if (name != 0 && value.is_number()) {
      variables_[name] = value;
      announced_.erase(name);
      if (is_new && chain.size() == 2 && chain[1].operators > 0) announced_.insert(name);
    }
    last_value_ = value;
    last = std::move(chain);
  }
  if (!last.empty() && !problem_.empty()) check_stated_answer(text, last, variables_, review);
  if (!problem_.empty() && formula_.empty()) formula_ = quoted_formula(text);
  return review.check();
}

std::vector<StepCheck> check_steps(std::string_view problem,
                                   const std::vector<std::string>& steps) {
  StepChecker checker(problem);
  std::vector<StepCheck> checks;
  for (const std::string& step : steps) checks.push_back(checker.check(step));
  return checks;
}

std::optional<std::size_t> first_wrong_step(std::string_view problem,
                                            const std::vector<std::string>& steps) {
  StepChecker checker(problem);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (checker.check(steps[i]).verdict == StepVerdict::kWrong) return i;
  }
  return std::nullopt;
}

}  // namespace reflect
