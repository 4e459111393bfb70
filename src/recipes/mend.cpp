#include "recipes/mend.h"

#include <algorithm>
#include <set>

#include "recipes/mistake_kind.h"
#include "recipes/program_steps.h"
#include "recipes/solution.h"
#include "reflect/base/error.h"
#include "reflect/base/white_space.h"
#include "reflect/tasks/rational.h"

namespace reflect {
namespace {

constexpr std::string_view kTagMarks[] = {"<thinking>",    "</thinking>", "<reflection>",
                                          "</reflection>", "<output>",    "</output>"};

bool holds_tag(const std::vector<std::string>& steps) {
  return std::any_of(steps.begin(), steps.end(), [](const std::string& step) {
    return std::any_of(std::begin(kTagMarks), std::end(kTagMarks),
                       [&](std::string_view tag) { return step.find(tag) != step.npos; });
  });
}

// The numbers that stand after an "=", as they are written.
std::vector<std::string> results_in(std::string_view step) {
  std::vector<std::string> results;
  for (std::size_t at = step.find('='); at != step.npos; at = step.find('=', at + 1)) {
    std::string_view rest = step.substr(at + 1);
    rest.remove_prefix(std::min(rest.find_first_not_of(" $"), rest.size()));
    const bool negative = rest.starts_with('-');
    if (negative) rest.remove_prefix(1);
    if (const auto number = read_number(rest)) {
      results.push_back(text_of(negative ? -number->value : number->value));
    }
  }
  return results;
}

// Index of the first gold step whose result the sound steps do not have yet; the last at most.
std::size_t first_open_step(const std::vector<std::string>& gold,
                            const std::vector<std::string>& sound) {
  std::set<std::string> known;
  for (const std::string& step : sound) {
    for (std::string& result : results_in(step)) known.insert(std::move(result));
  }
  std::size_t open = 0;
  while (open + 1 < gold.size()) {
    const std::vector<std::string> results = results_in(gold[open]);
    if (results.empty() || !known.contains(results.back())) break;
    ++open;
  }
  return open;
}

// Lines of `steps` from `begin` on, each with its end.
std::string lines_from(const std::vector<std::string>& steps, std::size_t begin, std::size_t end) {
  std::string text;
  for (std::size_t i = begin; i < end; ++i) text += steps[i] + "\n";
  return text;
}

std::string wording_of(const MendStep& step, const TraceRow& row, Random& random) {
  const MistakePlace& mistake = *row.mistake;
  const char* use = !mistake.step          ? "whole_attempt"
                    : mistake.left.empty() ? "step_known"
                                           : "value_known";
  const auto found = step.reflections.find(use);
  if (found == step.reflections.end()) return "";
  const std::vector<TextTemplate>& variants = found->second;
  return variants[random.below(variants.size())].fill({{"left", mistake.left},
                                                       {"right_value", mistake.right_value},
                                                       {"wrong_value", mistake.wrong_value},
                                                       {"wrong_answer", row.solution.output}});
}

// How many steps from `open` on repair a mistake: up to the one that has the right value, if one
// does, else the first.
std::size_t end_of_repair(const std::vector<std::string>& gold, std::size_t open,
                          const std::string& right_value) {
  for (std::size_t i = open; i < gold.size() && !right_value.empty(); ++i) {
    const std::vector<std::string> results = results_in(gold[i]);
    if (std::find(results.begin(), results.end(), right_value) != results.end()) return i + 1;
  }
  return open + 1;
}

std::string kind_of(const MistakePlace& mistake) {
  if (!mistake.step) return "whole_attempt";
  return mistake.proof == Proof::kExecuted ? "wrong_equation" : "marked_step";
}

// What follows a mistake.
struct Repair {
  std::string reflection;
  std::string correction;  // empty: there is no way on
  std::string rest;        // lines, each with its end
  std::string output;
};

void set_lines(Repair& repair, const std::vector<std::string>& correction,
               const std::vector<std::string>& rest) {
  repair.correction = lines_from(correction, 0, correction.size());
  if (!repair.correction.empty()) repair.correction.pop_back();
  repair.rest = lines_from(rest, 0, rest.size());
}

// As the step's texts say; what they leave open comes from wordings and the problem's own solution.
Repair repair_of(const MendStep& step, const Recipe& recipe, const TraceRow& row,
                 const std::vector<std::string>& sound, Random& random) {
  const RowFields fields(recipe, row);
  Repair repair;
  repair.reflection = trimmed(fields.fill(step.reflection));
  repair.output = trimmed(fields.fill(step.output));
  if (repair.reflection.empty()) repair.reflection = wording_of(step, row, random);
  if (repair.output.empty()) repair.output = row.task->problem.answer.value_or("");
  const std::string continuation(trimmed(fields.fill(step.continuation)));
  const std::vector<std::string>& gold = row.task->gold_steps;
  if (!continuation.empty()) {
    std::vector<std::string> lines = steps_of(continuation);
    if (lines.empty()) return repair;
    set_lines(repair, {lines.front()}, {lines.begin() + 1, lines.end()});
  } else if (row.task->program) {
    const std::string& wrong = row.solution.steps.at(row.mistake->step.value_or(0));
    ProgramContinuation program = continue_program(*row.task, sound, wrong);
    set_lines(repair, program.repair, program.rest);
  } else if (!gold.empty()) {
    const std::size_t open = first_open_step(gold, sound);
    const auto repaired =
        gold.begin() + static_cast<long>(end_of_repair(gold, open, row.mistake->right_value));
    set_lines(repair, {gold.begin() + static_cast<long>(open), repaired}, {repaired, gold.end()});
  }
  return repair;
}

void finish(TraceRow& row, TraceBuilder& trace, const std::string& output) {
  if (trimmed(output).empty()) return row.reject("no_final_answer");
  trace.output(output);
  row.response = trace.text();
  row.spans = trace.spans();
}

}  // namespace

std::vector<std::string> mend_wordings() {
  return {"value_known", "step_known", "whole_attempt"};
}

std::vector<std::string> mend_fields() {
  return {"left", "right_value", "wrong_value", "wrong_answer"};
}

void mend(const MendStep& step, const Recipe& recipe, TraceRow& row, Random random) {
  if (row.right_at_once) return write_plain(row);
  if (!row.mistake) fail("recipe", "the step mend comes before the step locate");
  const std::vector<std::string>& steps = row.solution.steps;
  if (steps.empty()) return row.reject("no_steps");
  const MistakePlace mistake = *row.mistake;
  const std::size_t first = mistake.step.value_or(0);
  const std::size_t after = mistake.step ? first + 1 : steps.size();
  const std::vector<std::string> sound(steps.begin(), steps.begin() + static_cast<long>(first));
  const Repair repair = repair_of(step, recipe, row, sound, random);
  if (repair.correction.empty()) return row.reject("no_continuation");
  if (repair.reflection.empty()) return row.reject("no_reflection");
  if (holds_tag(steps) || holds_tag({repair.reflection, repair.correction, repair.rest})) {
    return row.reject("tag_in_text");
  }
  std::string error = lines_from(steps, first, after);
  error.pop_back();
  if (!mistake.step) error += fmt::format("\nSo the answer is {}.", row.solution.output);

  TraceBuilder trace;
  trace.thinking(lines_from(sound, 0, sound.size()));
  trace.error(error, 1, mistake.proof);
  trace.thinking("\n");
  trace.reflection(repair.reflection, 1);
  trace.thinking("\n");
  trace.correction(repair.correction, 1);
  trace.thinking("\n");
  trace.thinking(repair.rest);
  finish(row, trace, repair.output);

  TraceError recorded{1, kind_of(mistake), mistake.proof, mistake.step};
  if (mistake.step) recorded.place = StepPlace{*mistake.step, steps.size()};
  if (!mistake.left.empty()) {
    recorded.told_kind =
        name_of(kind_of_equation(mistake.left, mistake.right_value, mistake.wrong_value));
  }
  row.errors.push_back(std::move(recorded));
}

void write_plain(TraceRow& row) {
  const std::vector<std::string>& steps =
      row.solution.steps.empty() ? row.task->gold_steps : row.solution.steps;
  if (steps.empty()) return row.reject("no_solution");
  if (holds_tag(steps)) return row.reject("tag_in_text");
  TraceBuilder trace;
  trace.thinking(lines_from(steps, 0, steps.size()));
  finish(row, trace, row.task->problem.answer.value_or(row.solution.output));
}

}  // namespace reflect
