#include "recipes/program_steps.h"

#include <algorithm>

namespace reflect {
namespace {

using KnownValues = std::vector<std::optional<StepValue>>;

KnownValues given_values(const Program& program) {
  KnownValues known(program.quantities());
  std::copy(program.given.begin(), program.given.end(), known.begin());
  return known;
}

// "left = value" cut at its last "=", without spaces around.
std::pair<std::string, std::string> sides_of(const std::string& equation) {
  const std::size_t equals = equation.rfind('=');
  if (equals == equation.npos) return {};
  const auto bare = [](std::string_view text) {
    const std::size_t begin = text.find_first_not_of(' ');
    if (begin == text.npos) return std::string();
    return std::string(text.substr(begin, text.find_last_not_of(' ') + 1 - begin));
  };
  return {bare(equation.substr(0, equals)), bare(equation.substr(equals + 1))};
}

MistakePlace wrong_step(const SourceTask& task, std::size_t index, const Execution& done,
                        const Execution& right) {
  MistakePlace place{index, Proof::kExecuted, {}, {}, {}};
  if (!done.result || !right.result) return place;
  const auto [left, right_value] = sides_of(task.family->equation(*task.program, right));
  place.left = left;
  place.right_value = right_value;
  place.wrong_value = sides_of(task.family->equation(*task.program, done)).second;
  return place;
}

}  // namespace

std::optional<MistakePlace> place_in_program(const SourceTask& task,
                                             const std::vector<std::string>& steps) {
  const Program& program = *task.program;
  KnownValues known = given_values(program);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const std::optional<Execution> done = task.family->read(program, steps[i]);
    if (!done) return std::nullopt;
    const Execution right = carry_out(program, done->step, known);
    if (!done->result || *done != right) return wrong_step(task, i, *done, right);
    known[program.quantity_of(done->step)] = done->result;
  }
  return std::nullopt;
}

ProgramContinuation continue_program(const SourceTask& task, const std::vector<std::string>& sound,
                                     const std::string& wrong) {
  const Program& program = *task.program;
  KnownValues known = given_values(program);
  for (const std::string& line : sound) {
    const std::optional<Execution> done = task.family->read(program, line);
    if (done) known[program.quantity_of(done->step)] = done->result;
  }
  const std::optional<Execution> failed = task.family->read(program, wrong);
  ProgramContinuation continuation;
  bool repaired = false;
  for (std::size_t step = 0; step < program.steps.size(); ++step) {
    std::optional<StepValue>& value = known[program.quantity_of(step)];
    if (value) continue;
    const Execution right = carry_out(program, step, known);
    value = right.result;
    (repaired ? continuation.rest : continuation.repair)
        .push_back(task.family->write(program, right));
    repaired = repaired || !failed || step == failed->step;
  }
  return continuation;
}

}  // namespace reflect
