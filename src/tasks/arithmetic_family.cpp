// Nested integer expressions, evaluated one operation at a time from the inside out.
#include <algorithm>
#include <cstdlib>

#include "tasks/equation_family.h"
#include "tasks/expression_program.h"
#include "tasks/families.h"

namespace reflect {
namespace {

constexpr std::int64_t kLargestValue = 10'000;
constexpr std::int64_t kLargestLiteral = 12;
constexpr double kDivisionShare = 0.25;

// Grows one expression with exactly the given number of operators.
class ExpressionMaker {
 public:
  ExpressionMaker(Random& random, ExpressionBuilder& builder)
      : random_(random), builder_(builder) {}

  ExpressionPart make(int operations) {
    if (operations == 0) return builder_.literal(random_.between(1, kLargestLiteral));
    const int left_operations = static_cast<int>(random_.below(operations));
    const int right_operations = operations - 1 - left_operations;
    const ExpressionPart left = make(left_operations);
    if (right_operations == 0 && random_.chance(kDivisionShare)) {
      if (const std::int64_t divisor = draw_divisor(left.value); divisor != 0) {
        return *builder_.join(left, Operation::kDivide, builder_.literal(divisor));
      }
    }
    const ExpressionPart right = make(right_operations);
    return *builder_.join(left, draw_operation(left.value, right.value), right);
  }

 private:
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

  Random& random_;
  ExpressionBuilder& builder_;
};

class ArithmeticFamily : public EquationFamily {
 public:
  std::string_view name() const override { return "arithmetic"; }
  int max_operations() const override { return 24; }
  bool infix() const override { return true; }

  // Equal parts are drawn again, so that a line tells which step it is.
  Program make(Random& random, int operations) const override {
    while (true) {
      ExpressionBuilder builder;
      const ExpressionPart whole = ExpressionMaker(random, builder).make(operations);
      Program program = builder.finish();
      std::vector<std::string> parts(program.names.begin() + operations + 1, program.names.end());
      std::sort(parts.begin(), parts.end());
      if (std::adjacent_find(parts.begin(), parts.end()) != parts.end()) continue;
      program.prompt = "Compute " + whole.text + ".";
      return program;
    }
  }
};

}  // namespace

std::unique_ptr<Family> make_arithmetic_family() {
  return std::make_unique<ArithmeticFamily>();
}

}  // namespace reflect
