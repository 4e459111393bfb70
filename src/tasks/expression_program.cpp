#include "tasks/expression_program.h"

#include "reflect/tasks/procedural.h"
#include "tasks/equation_family.h"
#include "tasks/text_cursor.h"

namespace reflect {
namespace {

constexpr int kLiteralBinds = 3;
constexpr int kDeepestNesting = 64;

int precedence(Operation operation) {
  return operation == Operation::kMultiply || operation == Operation::kDivide ? 2 : 1;
}

// The part as an operand of an operator that binds as tightly as `binds`.
std::string operand_of(const ExpressionPart& part, int binds, bool is_right) {
  if (part.is_literal) return operand_text(part.value, is_right);
  const bool brackets = is_right ? part.binds <= binds : part.binds < binds;
  return brackets ? "(" + part.text + ")" : part.text;
}

// Recursive descent over  sum = product (+- product)*,  product = factor (*/ factor)*.
class ExpressionParser {
 public:
  explicit ExpressionParser(std::string_view text) {
    for (const char c : text) {
      if (c != ' ') compact_ += c;
    }
    cursor_ = TextCursor(compact_);
  }

  std::optional<Program> parse() {
    const std::optional<ExpressionPart> whole = chain(1, 0);
    if (!whole || whole->is_literal || !cursor_.at_end()) return std::nullopt;
    return builder_.finish();
  }

 private:
  // Operands joined from the left by operators of this precedence.
  std::optional<ExpressionPart> chain(int binds, int depth) {
    std::optional<ExpressionPart> left = binds == 1 ? chain(2, depth) : factor(depth);
    while (left) {
      const std::optional<Operation> operation = take_operation(binds);
      if (!operation) break;
      const auto right = binds == 1 ? chain(2, depth) : factor(depth);
      left = right ? builder_.join(*left, *operation, *right) : std::nullopt;
    }
    return left;
  }

  std::optional<Operation> take_operation(int binds) {
    for (const char sign : {'+', '-', '*', '/'}) {
      const Operation operation = *operation_of_sign(sign);
      if (precedence(operation) == binds && cursor_.take({&sign, 1})) return operation;
    }
    return std::nullopt;
  }

  std::optional<ExpressionPart> factor(int depth) {
    if (cursor_.take("(")) {
      if (depth == kDeepestNesting) return std::nullopt;
      std::optional<ExpressionPart> inside = chain(1, depth + 1);
      return cursor_.take(")") ? inside : std::nullopt;
    }
    const std::optional<std::int64_t> number = cursor_.number();
    if (!number) return std::nullopt;
    return builder_.literal(*number);
  }

  std::string compact_;
  TextCursor cursor_{""};
  ExpressionBuilder builder_;
};

}  // namespace

ExpressionPart ExpressionBuilder::literal(std::int64_t value) {
  literals_.push_back(value);
  return {std::to_string(value), kLiteralBinds, literals_.size() - 1, true, value};
}

std::optional<ExpressionPart> ExpressionBuilder::join(const ExpressionPart& left,
                                                      Operation operation,
                                                      const ExpressionPart& right) {
  const auto value = apply(operation, {left.value, {}}, {right.value, {}});
  if (!value) return std::nullopt;
  ExpressionPart whole;
  whole.binds = precedence(operation);
  whole.text = operand_of(left, whole.binds, false);
  whole.text.append(" ").append(sign_of(operation)).append(" ");
  whole.text += operand_of(right, whole.binds, true);
  whole.place = joins_.size();
  whole.value = value->number;
  joins_.push_back({left, whole, right, operation});
  return whole;
}

Program ExpressionBuilder::finish() {
  Program program;
  program.family = "arithmetic";
  for (const std::int64_t value : literals_) program.given.push_back({value, {}});
  program.names.resize(literals_.size());
  const auto quantity_of = [&](const ExpressionPart& part) {
    return part.is_literal ? part.place : literals_.size() + part.place;
  };
  for (const Join& join : joins_) {
    program.steps.push_back({join.operation,
                             {quantity_of(join.left), quantity_of(join.right)},
                             join.whole.text + " = ",
                             {}});
    program.names.push_back(join.whole.text);
  }
  if (!joins_.empty()) program.answer = std::to_string(joins_.back().whole.value);
  return program;
}

std::optional<Program> program_of_expression(std::string_view text) {
  return ExpressionParser(text).parse();
}

}  // namespace reflect
