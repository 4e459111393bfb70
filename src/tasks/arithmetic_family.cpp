// Nested integer expressions, evaluated one operation at a time from the inside out.
#include <cstdlib>

#include "equation_family.h"
#include "families.h"

namespace reflect {
namespace {

constexpr std::int64_t kLargestValue = 10'000;
constexpr std::int64_t kLargestLiteral = 12;

int precedence(Operation operation) {
  return operation == Operation::kMultiply || operation == Operation::kDivide ? 2 : 1;
}

// A part of the expression: its text, what its outermost operator binds, and its place.
struct Part {
  std::string text;
  int binds = 3;  // 3: a literal, else the operator's precedence
  std::size_t quantity = 0;
  std::int64_t value = 0;
};

// Grows one expression with exactly `operations` operators; literals and steps go into `program`.
class ExpressionMaker {
 public:
  ExpressionMaker(Random& random, int operations, Program& program)
      : random_(random), literals_(static_cast<std::size_t>(operations) + 1), program_(program) {}

  Part make(int operations) {
    if (operations == 0) return literal(random_.between(1, kLargestLiteral));
    const int left_operations = static_cast<int>(random_.below(operations));
    const int right_operations = operations - 1 - left_operations;
    const Part left = make(left_operations);
    if (right_operations == 0 && random_.chance(kDivisionShare)) {
      if (const std::int64_t divisor = draw_divisor(left.value); divisor != 0) {
        return join(left, Operation::kDivide, literal(divisor));
      }
    }
    const Part right = make(right_operations);
    return join(left, draw_operation(left.value, right.value), right);
  }

 private:
  static constexpr double kDivisionShare = 0.25;

  Part literal(std::int64_t value) {
    program_.given.push_back({value, {}});
    program_.names.emplace_back();
    return {std::to_string(value), 3, program_.given.size() - 1, value};
  }

  // A divisor of `value` from 2 to 9, or 0 if there is none.
  std::int64_t draw_divisor(std::int64_t value) {
    std::vector<std::int64_t> divisors;
    for (std::int64_t d = 2; d <= 9; ++d) {
      if (value != 0 && value % d == 0) divisors.push_back(d);
    }
    return divisors.empty() ? 0 : divisors[random_.below(divisors.size())];
  }

  Operation draw_operation(std::int64_t a, std::int64_t b) {
    if (random_.chance(0.4) && std::abs(a * b) <= kLargestValue) return Operation::kMultiply;
    return random_.chance(0.5) ? Operation::kAdd : Operation::kSubtract;
  }

  Part join(const Part& left, Operation operation, const Part& right) {
    const int binds = precedence(operation);
    Part whole;
    whole.text = left.binds < binds ? "(" + left.text + ")" : left.text;
    whole.text.append(" ").append(sign_of(operation)).append(" ");
    whole.text += right.binds <= binds ? "(" + right.text + ")" : right.text;
    whole.binds = binds;
    whole.quantity = literals_ + program_.steps.size();
    whole.value = apply(operation, {left.value, {}}, {right.value, {}})->number;
    program_.steps.push_back({operation, {left.quantity, right.quantity}, whole.text + " = ", {}});
    return whole;
  }

  Random& random_;
  std::size_t literals_;
  Program& program_;
};

class ArithmeticFamily : public EquationFamily {
 public:
  std::string_view name() const override { return "arithmetic"; }
  int max_operations() const override { return 24; }
  bool infix() const override { return true; }

  Program make(Random& random, int operations) const override {
    Program program;
    program.family = "arithmetic";
    const Part whole = ExpressionMaker(random, operations, program).make(operations);
    for (const ProgramStep& step : program.steps) {
      program.names.push_back(step.before.substr(0, step.before.size() - 3));
    }
    program.prompt = "Compute " + whole.text + ".";
    program.answer = std::to_string(whole.value);
    return program;
  }
};

}  // namespace

std::unique_ptr<Family> make_arithmetic_family() {
  return std::make_unique<ArithmeticFamily>();
}

}  // namespace reflect
