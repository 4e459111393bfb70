#include "reflect/tasks/math_checker.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "reflect/base/white_space.h"
#include "tasks/math_reader.h"
#include "tasks/plain_math.h"

namespace reflect {
namespace {

constexpr std::size_t kMaxLength = 4000;  // of what is read; longer texts are only compared
constexpr int kMaxProofDepth = 16;

// A value, or parts within brackets.
struct MathObject {
  enum class Kind { kValue, kOrdered, kUnordered, kUnion };
  Kind kind = Kind::kValue;
  std::string brackets;  // of ordered parts: "()", "[)", "rows"
  std::string name;      // what stands before "="
  MathValue value;
  bool has_percent = false;
  std::vector<MathObject> parts;
};

// The text inside the braces at `open`, or nothing where they do not close.
std::optional<std::string_view> inside_braces(std::string_view text, std::size_t open) {
  int depth = 0;
  for (std::size_t i = open; i < text.size(); ++i) {
    depth += text[i] == '{' ? 1 : text[i] == '}' ? -1 : 0;
    if (depth == 0) return text.substr(open + 1, i - open - 1);
  }
  return std::nullopt;
}

bool closes(std::string_view text, std::string_view open, std::string_view close) {
  return text.size() >= open.size() + close.size() && text.starts_with(open) &&
         text.ends_with(close);
}

// What counts as the answer: the last \boxed{}, or the text without its quotes for mathematics.
std::string_view answer_in(std::string_view text) {
  constexpr std::string_view kBoxed = "\\boxed{";
  if (const std::size_t boxed = text.rfind(kBoxed); boxed != text.npos) {
    if (const auto inside = inside_braces(text, boxed + kBoxed.size() - 1)) text = *inside;
  }
  text = trimmed(text);
  if (text.ends_with('.')) text = trimmed(text.substr(0, text.size() - 1));
  for (const auto& [open, close] : {std::pair("\\(", "\\)"), {"\\[", "\\]"}, {"$$", "$$"}}) {
    if (closes(text, open, close)) text = trimmed(text.substr(2, text.size() - 4));
  }
  return text;
}

// Pieces of the text between separators that stand outside all brackets. A comma with three digits
// behind it separates thousands unless `every_comma`.
class Splitter {
 public:
  Splitter(std::string_view text, bool every_comma) : text_(text), every_comma_(every_comma) {}

  std::vector<std::string_view> by_commas() {
    return by([this](std::size_t at) -> std::size_t {
      if (text_[at] == ';') return 1;
      if (text_[at] == ',') return every_comma_ || !separates_thousands(at) ? 1 : 0;
      for (const std::string_view word :
           {" or ", " and ", "\\text{ or }", "\\text{ and }", "\\text{or}", "\\text{and}"}) {
        if (text_.substr(at).starts_with(word)) return word.size();
      }
      return 0;
    });
  }

  std::vector<std::string_view> by_unions() {
    return by([this](std::size_t at) -> std::size_t {
      return text_.substr(at).starts_with("\\cup") ? 4
             : text_.substr(at).starts_with(" U ") ? 3
                                                   : 0;
    });
  }

  std::vector<std::string_view> by_text(std::string_view separator) {
    return by([&](std::size_t at) -> std::size_t {
      return text_.substr(at).starts_with(separator) ? separator.size() : 0;
    });
  }

 private:
  template <class Separator>
  std::vector<std::string_view> by(Separator length_at) {
    std::vector<std::string_view> pieces;
    std::size_t begin = 0;
    int depth = 0;
    for (std::size_t at = 0; at < text_.size();) {
      const std::size_t length = depth == 0 ? length_at(at) : 0;
      if (length != 0) {
        pieces.push_back(trimmed(text_.substr(begin, at - begin)));
        begin = at += length;
        continue;
      }
      const char c = text_[at++];
      if (c == '(' || c == '[' || c == '{') ++depth;
      if (c == ')' || c == ']' || c == '}') --depth;
    }
    pieces.push_back(trimmed(text_.substr(begin)));
    return pieces;
  }

  bool separates_thousands(std::size_t comma) const {
    const auto digit = [&](std::size_t at) {
      return at < text_.size() && text_[at] >= '0' && text_[at] <= '9';
    };
    return comma > 0 && digit(comma - 1) && digit(comma + 1) && digit(comma + 2) &&
           digit(comma + 3) && !digit(comma + 4);
  }

  std::string_view text_;
  bool every_comma_;
};

std::optional<MathObject> read_object(std::string_view text, int depth);

std::optional<MathObject> read_parts(const std::vector<std::string_view>& pieces,
                                     MathObject::Kind kind, int depth) {
  MathObject object;
  object.kind = kind;
  for (const std::string_view piece : pieces) {
    auto part = read_object(piece, depth + 1);
    if (!part) return std::nullopt;
    object.parts.push_back(std::move(*part));
  }
  return object;
}

// "(1, 2)", "[0, 1)": brackets at both ends with a comma between them.
std::optional<MathObject> read_tuple(std::string_view text, int depth) {
  if (text.size() < 2 || (text.front() != '(' && text.front() != '[') ||
      (text.back() != ')' && text.back() != ']')) {
    return std::nullopt;
  }
  const auto pieces = Splitter(text.substr(1, text.size() - 2), true).by_commas();
  if (pieces.size() < 2) return std::nullopt;
  auto object = read_parts(pieces, MathObject::Kind::kOrdered, depth);
  if (object) object->brackets = {text.front(), text.back()};
  return object;
}

// \begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}; the kind of brackets does not count.
std::optional<MathObject> read_matrix(std::string_view text, int depth) {
  constexpr std::string_view kBegin = "\\begin{";
  const std::size_t begin = text.find('}'), end = text.rfind("\\end{");
  if (!text.starts_with(kBegin) || begin == text.npos || end == text.npos || end < begin) {
    return std::nullopt;
  }
  MathObject rows;
  rows.kind = MathObject::Kind::kOrdered;
  rows.brackets = "rows";
  for (const std::string_view line :
       Splitter(text.substr(begin + 1, end - begin - 1), true).by_text("\\\\")) {
    if (line.empty()) continue;
    auto row = read_parts(Splitter(line, true).by_text("&"), MathObject::Kind::kOrdered, depth);
    if (!row) return std::nullopt;
    rows.parts.push_back(std::move(*row));
  }
  return rows;
}

std::optional<MathObject> read_value(std::string_view text) {
  const auto expression = read_math(text);
  if (!expression) return std::nullopt;
  MathObject object;
  object.value = expression->value;
  object.has_percent = expression->has_percent;
  if (!expression->has_both_signs) return object;
  MathObject other = object;
  other.value = read_math(text, -1)->value;
  MathObject both;
  both.kind = MathObject::Kind::kUnordered;
  both.parts = {std::move(object), std::move(other)};
  return both;
}

std::string without_space(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (!is_white_space(c)) result += c;
  }
  return result;
}

// "x = 5", "f(x) = ...", "(x, y) = (1, 2)": a short left side is a name.
std::optional<MathObject> read_named(std::string_view text, int depth) {
  constexpr std::size_t kLongestName = 8;
  const std::size_t sign = text.find('=');
  const std::string name = without_space(text.substr(0, std::min(sign, text.size())));
  const bool letters = std::ranges::any_of(name, [](char c) { return c >= 'A' && c <= 'z'; });
  if (sign == text.npos || !letters || name.size() > kLongestName) return std::nullopt;
  auto object = read_object(trimmed(text.substr(sign + 1)), depth + 1);
  if (object) object->name = name;
  return object;
}

std::optional<MathObject> read_object(std::string_view text, int depth) {
  using Kind = MathObject::Kind;
  text = trimmed(text);
  if (text.empty() || depth > kMaxProofDepth) return std::nullopt;
  if (text.starts_with("\\begin{")) return read_matrix(text, depth);
  if (const auto parts = Splitter(text, false).by_unions(); parts.size() > 1) {
    return read_parts(parts, Kind::kUnion, depth);
  }
  if (const auto parts = Splitter(text, false).by_commas(); parts.size() > 1) {
    auto list = read_parts(parts, Kind::kUnordered, depth);
    // "x = 1, 2": the name stands for all.
    if (list && std::ranges::all_of(list->parts.begin() + 1, list->parts.end(),
                                    [](const MathObject& each) { return each.name.empty(); })) {
      list->name = std::exchange(list->parts.front().name, "");
    }
    return list;
  }
  if (text.find('=') != text.npos) return read_named(text, depth);
  if (closes(text, "\\{", "\\}")) {
    return read_parts(Splitter(text.substr(2, text.size() - 4), true).by_commas(), Kind::kUnordered,
                      depth);
  }
  if (auto tuple = read_tuple(text, depth)) return tuple;
  return read_value(text);
}

bool same(const MathObject& a, const MathObject& b);

bool same_in_any_order(const std::vector<MathObject>& a, const std::vector<MathObject>& b) {
  std::vector<bool> taken(b.size());
  return a.size() == b.size() && std::ranges::all_of(a, [&](const MathObject& each) {
           for (std::size_t i = 0; i < b.size(); ++i) {
             if (!taken[i] && same(each, b[i])) return taken[i] = true, true;
           }
           return false;
         });
}

bool same(const MathObject& a, const MathObject& b) {
  if (!a.name.empty() && !b.name.empty() && a.name != b.name) return false;
  if (a.kind != b.kind || a.brackets != b.brackets) return false;
  switch (a.kind) {
    case MathObject::Kind::kOrdered:
      return std::ranges::equal(a.parts, b.parts, same);
    case MathObject::Kind::kUnordered:
    case MathObject::Kind::kUnion:
      return same_in_any_order(a.parts, b.parts);
    case MathObject::Kind::kValue:
      break;
  }
  if (equal(a.value, b.value)) return true;
  if (a.has_percent == b.has_percent) return false;
  const MathValue hundred = MathValue::of(Rational(100));
  return a.has_percent ? equal(a.value, b.value * hundred) : equal(a.value * hundred, b.value);
}

// Text as it is compared: without white space, case, and what stands around all of it.
std::string comparable(std::string_view text) {
  std::string plain = without_space(text);
  while (closes(plain, "\\text{", "}")) plain = plain.substr(6, plain.size() - 7);
  if (plain.size() == 3 && closes(plain, "(", ")")) plain = plain.substr(1, 1);  // a choice
  std::ranges::transform(plain, plain.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return plain;
}

}  // namespace

Verdict check_math(std::string_view answer, std::string_view gold) {
  if (trimmed(gold).empty()) return {false, "bad_gold", ""};
  if (trimmed(answer).empty()) return {false, "empty", ""};
  answer = answer_in(answer);
  gold = answer_in(gold);
  const Verdict as_number = check_number(answer, gold);
  if (as_number.right) return as_number;
  const std::string given_text = plain_math(answer), gold_text = plain_math(gold);
  const std::string given_words = comparable(given_text);
  if (given_words == comparable(gold_text)) return {true, "right", given_words};
  const bool short_enough = std::max(given_text.size(), gold_text.size()) <= kMaxLength;
  const auto given = short_enough ? read_object(given_text, 0) : std::nullopt;
  if (!given) return {false, "not_an_expression", ""};
  const auto expected = read_object(gold_text, 0);
  const bool exact = given->kind == MathObject::Kind::kValue && given->value.exact.is_number();
  std::string normalized = exact ? text_of(given->value.exact) : given_words;
  const bool right = expected && same(*given, *expected);
  return {right, right ? "right" : "wrong", std::move(normalized)};
}

}  // namespace reflect
