#include "reflect/tasks/program.h"

#include <algorithm>

#include "reflect/base/error.h"

namespace reflect {
namespace {

constexpr std::int64_t kLargestMagnitude = 1'000'000'000'000;

std::optional<std::int64_t> compute(Operation operation, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  switch (operation) {
    case Operation::kAdd:
      result = a + b;
      break;
    case Operation::kSubtract:
      result = a - b;
      break;
    case Operation::kMultiply:
      if (__builtin_mul_overflow(a, b, &result)) return std::nullopt;
      break;
    case Operation::kDivide:
      if (b == 0 || a % b != 0) return std::nullopt;
      result = a / b;
      break;
    case Operation::kInsert:
      return std::nullopt;
  }
  if (result > kLargestMagnitude || result < -kLargestMagnitude) return std::nullopt;
  return result;
}

}  // namespace

std::string_view sign_of(Operation operation) {
  switch (operation) {
    case Operation::kAdd:
      return "+";
    case Operation::kSubtract:
      return "-";
    case Operation::kMultiply:
      return "*";
    case Operation::kDivide:
      return "/";
    case Operation::kInsert:
      return "";
  }
  return "";
}

std::optional<Operation> operation_of_sign(char sign) {
  switch (sign) {
    case '+':
      return Operation::kAdd;
    case '-':
      return Operation::kSubtract;
    case '*':
      return Operation::kMultiply;
    case '/':
      return Operation::kDivide;
    default:
      return std::nullopt;
  }
}

std::optional<StepValue> apply(Operation operation, const StepValue& a, const StepValue& b,
                               std::int64_t modulus) {
  if (operation == Operation::kInsert) {
    StepValue result = a;
    const auto place = std::upper_bound(result.list.begin(), result.list.end(), b.number);
    result.list.insert(place, b.number);
    return result;
  }
  if (!a.list.empty() || !b.list.empty()) return std::nullopt;
  const std::optional<std::int64_t> exact = compute(operation, a.number, b.number);
  if (!exact) return std::nullopt;
  return StepValue{modulus == 0 ? *exact : ((*exact % modulus) + modulus) % modulus, {}};
}

std::vector<StepValue> execute(const Program& program) {
  std::vector<StepValue> values = program.given;
  values.reserve(program.quantities());
  for (const ProgramStep& step : program.steps) {
    const auto [a, b] = step.operands;
    std::optional<StepValue> result =
        apply(step.operation, values.at(a), values.at(b), program.modulus);
    if (!result) {
      fail("program", "step {} of a {} problem has no exact result; the generator is wrong",
           values.size() - program.given.size(), program.family);
    }
    values.push_back(std::move(*result));
  }
  return values;
}

Execution carry_out(const Program& program, std::size_t step,
                    const std::vector<std::optional<StepValue>>& known) {
  const ProgramStep& definition = program.steps.at(step);
  Execution execution{step, definition.operation, definition.operands, {}, {}};
  for (int i = 0; i < 2; ++i) execution.values[i] = known.at(definition.operands[i]);
  if (execution.values[0] && execution.values[1]) {
    execution.result =
        apply(definition.operation, *execution.values[0], *execution.values[1], program.modulus);
  }
  return execution;
}

}  // namespace reflect
