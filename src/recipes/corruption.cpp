#include "recipes/corruption.h"

#include <algorithm>
#include <array>

namespace reflect {
namespace {

constexpr std::array<std::string_view, kErrorKinds> kNames = {
    "wrong_operation", "wrong_operand", "precedence",   "wrong_result",
    "off_by_one",      "copied_wrong",  "skipped_step", "too_early"};

bool same_shape(const StepValue& a, const StepValue& b) {
  return a.list.empty() == b.list.empty();
}

// A number that somebody may write for `number`: two digits swapped, or another digit.
std::int64_t altered_number(std::int64_t number, std::int64_t modulus, Random& random) {
  if (modulus != 0) return (number + random.between(1, modulus - 1)) % modulus;
  const std::int64_t ones = number % 10;
  const std::int64_t tens = number / 10 % 10;
  if (ones != tens && tens != 0 && random.chance(0.5)) return number + 9 * (ones - tens);
  const std::int64_t change = random.between(2, 9);
  const std::int64_t place = std::abs(number) >= 20 && random.chance(0.5) ? 10 : 1;
  const bool down = random.chance(0.5) && std::abs(number) > change * place;
  return number + (down == (number > 0) ? -1 : 1) * change * place;
}

StepValue altered(const StepValue& value, std::int64_t modulus, Random& random) {
  StepValue wrong = value;
  std::int64_t& number =
      wrong.list.empty() ? wrong.number : wrong.list[random.below(wrong.list.size())];
  number = altered_number(number, modulus, random);
  return wrong;
}

// One proposal of a wrong execution, not yet proven to change anything.
class Proposer {
 public:
  Proposer(const Family& family, const Program& program, const KnownValues& known, std::size_t next,
           Random& random)
      : family_(family),
        program_(program),
        known_(known),
        next_(next),
        right_(carry_out(program, next, known)),
        random_(random) {}

  std::optional<Execution> propose(ErrorKind kind) const {
    switch (kind) {
      case ErrorKind::kWrongOperation:
        return wrong_operation();
      case ErrorKind::kWrongOperand:
        return wrong_operand();
      case ErrorKind::kPrecedence:
        return wrong_precedence();
      case ErrorKind::kWrongResult:
        return wrong_result();
      case ErrorKind::kOffByOne:
        return off_by_one();
      case ErrorKind::kCopiedWrong:
        return copied_wrong();
      case ErrorKind::kSkippedStep:
        return skipped_step();
      case ErrorKind::kTooEarly:
        return std::nullopt;
    }
    return std::nullopt;
  }

 private:
  std::optional<Execution> computed(Execution execution) const {
    execution.result =
        apply(execution.operation, *execution.values[0], *execution.values[1], program_.modulus);
    if (!execution.result) return std::nullopt;
    return execution;
  }

  std::optional<Execution> wrong_operation() const {
    if (right_.operation == Operation::kInsert) return std::nullopt;
    std::vector<Operation> others = {Operation::kAdd, Operation::kSubtract, Operation::kMultiply};
    if (program_.modulus == 0) others.push_back(Operation::kDivide);
    std::erase(others, right_.operation);
    Execution wrong = right_;
    wrong.operation = others[random_.below(others.size())];
    return computed(std::move(wrong));
  }

  std::optional<Execution> wrong_operand() const {
    const std::size_t place =
        right_.operation == Operation::kInsert ? 1 : static_cast<std::size_t>(random_.below(2));
    std::vector<std::size_t> others;
    for (std::size_t quantity = 0; quantity < known_.size(); ++quantity) {
      const bool used = quantity == right_.operands[0] || quantity == right_.operands[1];
      if (!used && known_[quantity] && same_shape(*known_[quantity], *right_.values[place])) {
        others.push_back(quantity);
      }
    }
    if (others.empty()) return std::nullopt;
    Execution wrong = right_;
    wrong.operands[place] = others[random_.below(others.size())];
    wrong.values[place] = known_[wrong.operands[place]];
    return computed(std::move(wrong));
  }

  // a + b * c as (a + b) * c, and a * b + c as a * (b + c).
  std::optional<Execution> wrong_precedence() const {
    if (!family_.infix()) return std::nullopt;
    const auto binds_tightly = [](Operation operation) {
      return operation == Operation::kMultiply || operation == Operation::kDivide;
    };
    const std::optional<Execution> outer = step_using_next();
    if (!outer || !binds_tightly(right_.operation) || binds_tightly(outer->operation)) {
      return std::nullopt;
    }
    Execution wrong = *outer;
    wrong.operation = right_.operation;
    if (outer->values[1]) {
      wrong.values[0] = right_.values[0];
      wrong.values[1] = apply(outer->operation, *right_.values[1], *outer->values[1]);
    } else {
      wrong.values[0] = apply(outer->operation, *outer->values[0], *right_.values[0]);
      wrong.values[1] = right_.values[1];
    }
    if (!wrong.values[0] || !wrong.values[1]) return std::nullopt;
    return computed(std::move(wrong));
  }

  Execution with_result(StepValue result) const {
    Execution wrong = right_;
    wrong.result = std::move(result);
    return wrong;
  }

  std::optional<Execution> wrong_result() const {
    StepValue result = *right_.result;
    if (result.list.empty()) return with_result(altered(result, program_.modulus, random_));
    const std::size_t place = random_.below(result.list.size() - 1);
    std::swap(result.list[place], result.list[place + 1]);
    return with_result(std::move(result));
  }

  std::optional<Execution> off_by_one() const {
    StepValue result = *right_.result;
    const std::int64_t change = random_.chance(0.5) ? 1 : -1;
    if (result.list.empty()) {
      const std::int64_t modulus = program_.modulus;
      result.number += change;
      if (modulus != 0) result.number = (result.number + modulus) % modulus;
      return with_result(std::move(result));
    }
    const auto item = std::find(result.list.begin(), result.list.end(), right_.values[1]->number);
    if (item == result.list.end()) return std::nullopt;
    const bool forward =
        item == result.list.begin() || (item + 1 != result.list.end() && change > 0);
    std::iter_swap(item, forward ? item + 1 : item - 1);
    return with_result(std::move(result));
  }

  std::optional<Execution> copied_wrong() const {
    Execution wrong = right_;
    const std::size_t place = random_.below(2);
    wrong.values[place] = altered(*wrong.values[place], program_.modulus, random_);
    return computed(std::move(wrong));
  }

  std::optional<Execution> skipped_step() const {
    std::optional<Execution> later = step_using_next();
    if (!later) return std::nullopt;
    const std::size_t place = later->values[0] ? 1 : 0;
    const std::size_t kept =
        right_.operation == Operation::kInsert ? 0 : static_cast<std::size_t>(random_.below(2));
    later->operands[place] = right_.operands[kept];
    later->values[place] = right_.values[kept];
    return computed(std::move(*later));
  }

  // A step that waits for nothing but the result of `next`, as far as it can be carried out.
  std::optional<Execution> step_using_next() const {
    const std::size_t awaited = program_.quantity_of(next_);
    for (std::size_t step = next_ + 1; step < program_.steps.size(); ++step) {
      const auto& [a, b] = program_.steps[step].operands;
      if ((a == awaited && known_[b]) || (b == awaited && known_[a])) {
        return carry_out(program_, step, known_);
      }
    }
    return std::nullopt;
  }

  const Family& family_;
  const Program& program_;
  const KnownValues& known_;
  std::size_t next_;
  Execution right_;
  Random& random_;
};

// Whether the step's result and the answer that follows from it both differ from the right ones.
bool changes_the_answer(const ExecutedProgram& executed, const Execution& wrong) {
  const Program& program = executed.program;
  const std::vector<StepValue>& right = executed.values;
  const std::size_t quantity = program.quantity_of(wrong.step);
  if (right[quantity] == wrong.result) return false;
  std::vector<StepValue> values = right;
  values[quantity] = *wrong.result;
  std::vector<bool> differs(values.size(), false);
  differs[quantity] = true;
  for (std::size_t i = wrong.step + 1; i < program.steps.size(); ++i) {
    const ProgramStep& step = program.steps[i];
    const auto [a, b] = step.operands;
    if (!differs[a] && !differs[b]) continue;
    auto result = apply(step.operation, values[a], values[b], program.modulus);
    if (!result) return true;  // nobody gets to the answer from here
    const std::size_t at = program.quantity_of(i);
    differs[at] = *result != right[at];
    values[at] = std::move(*result);
  }
  return differs.back();
}

}  // namespace

std::string_view name_of(ErrorKind kind) {
  return kNames.at(static_cast<std::size_t>(kind));
}

std::optional<ErrorKind> error_kind_named(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<ErrorKind>(found - kNames.begin());
}

std::vector<std::string> error_kind_names() {
  return {kNames.begin(), kNames.end()};
}

std::optional<Execution> wrong_execution(ErrorKind kind, const ExecutedProgram& executed,
                                         const KnownValues& known, std::size_t next,
                                         Random& random) {
  std::optional<Execution> wrong =
      Proposer(executed.family, executed.program, known, next, random).propose(kind);
  if (!wrong || !changes_the_answer(executed, *wrong)) return std::nullopt;
  return wrong;
}

}  // namespace reflect
