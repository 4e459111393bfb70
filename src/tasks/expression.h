// Arithmetic expressions inside running text: where one ends and what it is worth.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string_view>

#include "reflect/tasks/rational.h"
#include "tasks/characters.h"

namespace reflect {

using Variables = std::map<char, Rational>;

struct Expression {
  std::size_t begin = 0;  // bytes in the text
  std::size_t end = 0;
  Rational value;         // not a number when a variable is unknown or a result overflows
  Rational first;         // value of the first operand
  int operators = 0;      // of two operands
  char name = 0;          // of an expression that is one variable
  int decimals = -1;      // digits after the point of an expression that is one number, else -1
  std::string_view unit;  // the first word of the first unit
  bool has_percent = false;
  // It can be read in another way: "6 / 1/3", "4 pounds - 6 ounces".
  bool is_ambiguous = false;

  bool is_number() const { return decimals >= 0; }
};

// The longest expression that starts at `begin`; nothing where none starts. Units between a number
// and the next operator, '=' or ')' are read over.
std::optional<Expression> read_expression(std::string_view text, std::size_t begin,
                                          const Variables& variables);

struct Operator {
  std::string_view text;  // "*", "×", "–", ...
  char kind;              // one of + - * / ^
};
// The arithmetic operator at `at`; nullptr where there is none.
const Operator* operator_at(std::string_view text, std::size_t at);

// The word of ASCII letters at `at`.
std::string_view word_at(std::string_view text, std::size_t at);
// Words that continue arithmetic in prose: "times", "of", "dozen", ...
bool is_arithmetic_word(std::string_view word);

}  // namespace reflect
