#include "evaluate/grade.h"

#include <set>

#include "reflect/data/trace.h"

namespace reflect {

Grade grade(const Answer& answer, const Problem& problem, const Checker& checker, bool fallback) {
  const Trace trace = parse_trace(answer.response);
  Grade grade;
  grade.reflections = trace.reflections();
  std::set<std::string> issues;
  for (const TraceProblem& found : trace.problems) issues.emplace(name_of(found.issue));
  grade.issues.assign(issues.begin(), issues.end());
  grade.output = trace.output;
  grade.has_output = !trace.output.empty();
  if (!grade.has_output && fallback) {
    if (const auto final_answer = extract_final_answer(answer.response)) {
      grade.output = *final_answer;
      grade.by_fallback = true;
    }
  }
  if (grade.output.empty()) {
    grade.reason = "no_output";
    return grade;
  }
  const Verdict verdict = checker.check(grade.output, problem.answer);
  grade.right = verdict.right;
  grade.reason = verdict.reason;
  grade.normalized = verdict.normalized;
  return grade;
}

}  // namespace reflect
