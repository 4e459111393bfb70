// A problem together with the program of small steps that solves it: what is given, what each step
// computes from what, and how a step reads as text.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace reflect {

enum class Operation { kAdd, kSubtract, kMultiply, kDivide, kInsert };

// "+", "-", "*", "/"; empty for kInsert.
std::string_view sign_of(Operation operation);
std::optional<Operation> operation_of_sign(char sign);

// What a quantity is worth: a number or, while sorting, a list of numbers.
struct StepValue {
  std::int64_t number = 0;
  std::vector<std::int64_t> list;
  bool operator==(const StepValue&) const = default;
};

// a (operation) b; kInsert puts number b before the first greater item of list a. `modulus` 0:
// plain integers. Nothing where there is no exact result: a division with a remainder or by zero,
// or a magnitude above 10^12.
std::optional<StepValue> apply(Operation operation, const StepValue& a, const StepValue& b,
                               std::int64_t modulus = 0);

// Quantities are numbered: those that the problem gives first, then one for each step.
struct ProgramStep {
  Operation operation;
  std::array<std::size_t, 2> operands;
  std::string before, after;  // text around the equation where the family writes equations
};

struct Program {
  std::string family;
  std::string prompt;
  std::string answer;
  std::int64_t modulus = 0;
  std::vector<StepValue> given;
  std::vector<ProgramStep> steps;  // operands come before their use; the last step is the answer
  std::vector<std::string> names;  // of all quantities; empty for a bare number

  std::size_t quantities() const { return given.size() + steps.size(); }
  std::size_t quantity_of(std::size_t step) const { return given.size() + step; }
  bool is_given(std::size_t quantity) const { return quantity < given.size(); }
};

// The values of all quantities. A step without a result is an Error: generators make none.
std::vector<StepValue> execute(const Program& program);

// One step as somebody carried it out, right or wrong. An operand that was not known when the step
// was tried has no value, and the step then no result.
struct Execution {
  std::size_t step = 0;
  Operation operation = Operation::kAdd;
  std::array<std::size_t, 2> operands{};
  std::array<std::optional<StepValue>, 2> values;
  std::optional<StepValue> result;
  bool operator==(const Execution&) const = default;
};

// The step as the program defines it, over `known` values (nothing: not derived yet).
Execution carry_out(const Program& program, std::size_t step,
                    const std::vector<std::optional<StepValue>>& known);

}  // namespace reflect
