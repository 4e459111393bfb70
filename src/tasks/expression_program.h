// Builds the program of a written expression from its parts.
#pragma once

#include <optional>
#include <string>

#include "reflect/tasks/program.h"

namespace reflect {

// A part of an expression: its text, how tightly its outermost operator binds (a literal most),
// and what it is worth.
struct ExpressionPart {
  std::string text;
  int binds = 0;
  std::size_t place = 0;  // among literals or steps
  bool is_literal = false;
  std::int64_t value = 0;
};

class ExpressionBuilder {
 public:
  ExpressionPart literal(std::int64_t value);
  // Nothing where the operation has no exact result.
  std::optional<ExpressionPart> join(const ExpressionPart& left, Operation operation,
                                     const ExpressionPart& right);
  // The program of all that was joined, without its prompt; the last join is its answer.
  Program finish();

 private:
  struct Join {
    ExpressionPart left, whole, right;
    Operation operation;
  };
  std::vector<std::int64_t> literals_;
  std::vector<Join> joins_;
};

}  // namespace reflect
