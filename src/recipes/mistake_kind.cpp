#include "recipes/mistake_kind.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "recipes/source.h"
#include "reflect/base/error.h"
#include "reflect/tasks/checker.h"
#include "reflect/tasks/step_checker.h"

namespace reflect {
namespace {

// What StepChecker expects of a definition that is no part of the problem.
constexpr std::string_view kPartOfProblem = "a part of the problem";

// The text without what stands around numbers in prose: currency, thousands separators.
std::string stripped(std::string_view text) {
  std::string kept;
  for (const char c : text) {
    if (c != '$' && c != ',') kept += c;
  }
  return kept;
}

std::optional<double> number_in(std::string_view text) {
  const std::string number = stripped(text);
  char* end = nullptr;
  const double value = std::strtod(number.c_str(), &end);
  if (end == number.c_str() || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::vector<std::int64_t> literals_of(const Program& program) {
  std::vector<std::int64_t> numbers;
  for (const StepValue& value : program.given) numbers.push_back(value.number);
  return numbers;
}

std::optional<std::int64_t> value_of(const Program& program) {
  std::vector<StepValue> values = program.given;
  for (const ProgramStep& step : program.steps) {
    const auto result = apply(step.operation, values[step.operands[0]], values[step.operands[1]]);
    if (!result) return std::nullopt;
    values.push_back(*result);
  }
  return values.back().number;
}

bool explained_by_operation(const Program& program, std::int64_t written) {
  for (std::size_t step = 0; step < program.steps.size(); ++step) {
    for (const Operation other :
         {Operation::kAdd, Operation::kSubtract, Operation::kMultiply, Operation::kDivide}) {
      Program changed = program;
      if (changed.steps[step].operation == other) continue;
      changed.steps[step].operation = other;
      if (value_of(changed) == written) return true;
    }
  }
  return false;
}

// Whether `written` is the expression read from left to right. One with brackets is read as it is.
bool explained_by_order(std::string_view left, const Program& program, std::int64_t written) {
  if (left.find_first_of("([") != left.npos) return false;
  // Without brackets literals stand in their order; operations are those between neighbours.
  std::vector<std::pair<std::size_t, Operation>> order;  // by the literal to the right
  for (const ProgramStep& step : program.steps) {
    std::size_t right = step.operands[1];
    while (!program.is_given(right)) {
      right = program.steps[right - program.given.size()].operands[0];
    }
    order.emplace_back(right, step.operation);
  }
  std::ranges::sort(order);
  StepValue value = program.given.front();
  for (const auto& [right, operation] : order) {
    const auto result = apply(operation, value, program.given[right]);
    if (!result) return false;
    value = *result;
  }
  return value.number == written;
}

// Whether two expressions are the same but for one number.
bool explained_by_copy(const Program& left, const Program& written) {
  const auto a = literals_of(left), b = literals_of(written);
  if (a.size() != b.size()) return false;
  std::size_t others = 0;
  for (std::size_t i = 0; i < a.size(); ++i) others += a[i] != b[i] ? 1 : 0;
  return others == 1 && std::ranges::equal(left.steps, written.steps, {}, &ProgramStep::operation,
                                           &ProgramStep::operation);
}

// The step at which a wrong solution first goes wrong, and its kind.
struct RecordedMistake {
  std::size_t step;
  std::string kind;  // empty: not told
};

std::optional<RecordedMistake> mistake_in(const std::string& problem, const Solution& solution) {
  StepChecker checker(problem);
  for (std::size_t i = 0; i < solution.steps.size(); ++i) {
    const std::string& step = solution.steps[i];
    const StepCheck check = checker.check(step);
    const bool wrong = check.verdict == StepVerdict::kWrong;
    if (solution.mistake ? i != *solution.mistake : !wrong) continue;
    if (!wrong) return RecordedMistake{i, ""};
    const std::string_view equation =
        std::string_view(step).substr(check.begin, check.end - check.begin);
    const std::string_view left = equation.substr(0, equation.find('='));
    return RecordedMistake{
        i, std::string(name_of(kind_of_equation(left, check.expected, check.written)))};
  }
  return std::nullopt;
}

bool is_wrong(const SourceTask& task, const Solution& solution) {
  if (solution.mistake) return true;
  if (solution.marked_right) return !*solution.marked_right;
  const std::optional<std::string>& answer = task.problem.answer;
  return answer && !solution.output.empty() &&
         !Checker::named("auto").check(solution.output, *answer).right;
}

void measure_solutions(const SourceTask& task, MeasuredProfile& measured) {
  for (const Solution& solution : task.solutions) {
    ++measured.solutions;
    if (!is_wrong(task, solution)) continue;
    ++measured.wrong;
    const auto mistake = mistake_in(task.problem.prompt(), solution);
    if (!mistake) {
      ++measured.without_place;
      continue;
    }
    measured.profile.add(mistake->kind, StepPlace{mistake->step, solution.steps.size()},
                         std::nullopt);
  }
}

// The mistakes that a row of the project's own says it has.
void measure_lineage(const Json& errors, MeasuredProfile& measured) {
  ++measured.solutions;
  ++measured.wrong;
  for (const Json& error : errors) {
    const std::string kind = error.value("kind", "");
    std::optional<StepPlace> place;
    if (const auto at = error.find("position"); at != error.end()) {
      place = StepPlace{at->at(0).get<std::size_t>(), at->at(1).get<std::size_t>()};
    }
    measured.profile.add(error_kind_named(kind) ? kind : "", place,
                         error.value("noticed_after", std::size_t{0}));
  }
}

}  // namespace

ErrorKind kind_of_equation(std::string_view left, std::string_view expected,
                           std::string_view written) {
  if (expected == kPartOfProblem) return ErrorKind::kCopiedWrong;
  const std::optional<Program> program = program_of_expression(stripped(left));
  if (const auto copied = program_of_expression(stripped(written))) {
    return program && explained_by_copy(*program, *copied) ? ErrorKind::kCopiedWrong
                                                           : ErrorKind::kWrongResult;
  }
  const std::optional<double> value = number_in(written), right = number_in(expected);
  if (!value) return ErrorKind::kWrongResult;
  if (program && *value == std::floor(*value) && std::abs(*value) < 1e12) {
    const auto whole = static_cast<std::int64_t>(*value);
    if (explained_by_order(left, *program, whole)) return ErrorKind::kPrecedence;
    if (explained_by_operation(*program, whole)) return ErrorKind::kWrongOperation;
  }
  return right && std::abs(*value - *right) == 1 ? ErrorKind::kOffByOne : ErrorKind::kWrongResult;
}

MeasuredProfile measure_profile(const std::string& path) {
  MeasuredProfile measured;
  LineReader lines(path);
  while (const auto line = lines.next()) {
    if (line->find_first_not_of(" \t\r") == line->npos) continue;
    const std::string where = fmt::format("{}:{}", lines.path(), lines.line_number());
    try {
      const Json row = parse_json_line(*line, where);
      const Json::json_pointer errors("/lineage/errors");
      if (row.contains(errors)) {
        measure_lineage(row.at(errors), measured);
      } else {
        measure_solutions(task_of(row, where), measured);
      }
    } catch (const Error&) {
      ++measured.refused;
    } catch (const Json::exception&) {
      ++measured.refused;
    }
  }
  return measured;
}

}  // namespace reflect
