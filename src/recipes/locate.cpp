#include "recipes/locate.h"

#include "reflect/tasks/step_checker.h"

namespace reflect {
namespace {

std::optional<MistakePlace> place_by_annotation(const TraceRow& row) {
  const Solution& solution = row.solution;
  if (!solution.mistake || *solution.mistake >= solution.steps.size()) return std::nullopt;
  return MistakePlace{solution.mistake, Proof::kAnnotated, {}, {}, {}};
}

std::optional<MistakePlace> place_by_checker(const TraceRow& row) {
  StepChecker checker(row.task->problem.prompt());
  for (std::size_t i = 0; i < row.solution.steps.size(); ++i) {
    const std::string& step = row.solution.steps[i];
    const StepCheck check = checker.check(step);
    if (check.verdict == StepVerdict::kWrong) return wrong_equation(step, check, i);
  }
  return std::nullopt;
}

}  // namespace

MistakePlace wrong_equation(std::string_view step, const StepCheck& check, std::size_t index) {
  const std::string_view equation = step.substr(check.begin, check.end - check.begin);
  std::string_view left = equation.substr(0, equation.rfind('='));
  while (left.ends_with(' ')) left.remove_suffix(1);
  return {index, Proof::kExecuted, std::string(left), check.expected, check.written};
}

void locate(const LocateStep& step, TraceRow& row) {
  if (row.right_at_once) return;
  if (row.solution.output.empty()) return row.reject("no_final_answer");
  for (const std::string& who : step.by) {
    row.mistake = who == "annotation" ? place_by_annotation(row) : place_by_checker(row);
    if (row.mistake) return;
  }
  if (step.unplaced == "reject") return row.reject("unplaced");
  row.mistake = MistakePlace{};
}

}  // namespace reflect
