#include "reflect/evaluate/heldout_accuracy.h"

#include "evaluate/grade.h"
#include "evaluate/problems.h"
#include "reflect/base/error.h"
#include "reflect/base/log.h"
#include "reflect/base/signals.h"
#include "reflect/dist/launch.h"
#include "reflect/generate/chat_model.h"
#include "reflect/generate/team.h"
#include "reflect/model/own_passes.h"

namespace reflect {
namespace {

std::vector<GenerateRequest> requests_for(const std::vector<Problem>& problems,
                                          const HeldoutProblemsConfig& config,
                                          const ModelInTraining& model) {
  GenerateRequest request;
  request.sampling.max_new_tokens = config.max_new_tokens;
  request.end_ids = end_ids_of(model.llama.config(), model.tokenizer, model.chat);
  std::vector<GenerateRequest> requests;
  for (const Problem& problem : problems) {
    request.prompt_ids = prompt_ids(model.chat, model.tokenizer, problem.messages);
    requests.push_back(request);
  }
  return requests;
}

SolvedProblems solved_of(const std::vector<Problem>& problems,
                         const std::vector<Completion>& completions) {
  const Checker checker = Checker::named("auto");
  SolvedProblems solved;
  for (std::size_t i = 0; i < problems.size(); ++i) {
    Answer answer;
    answer.response = completions[i].text;
    solved.right += grade(answer, problems[i], checker, /*fallback=*/false).right;
    ++solved.problems;
  }
  return solved;
}

// A signal is noted by all ranks, so that all end here; training then ends by it, too.
bool is_end_by_signal(const Error& error) {
  const int signal = signal_received();
  return signal != 0 && static_cast<int>(error.exit_code()) == 128 + signal;
}

std::optional<SolvedProblems> solve_together(const std::vector<Problem>& problems,
                                             const HeldoutProblemsConfig& config,
                                             const ModelInTraining& model) {
  const OwnPasses own_passes(model.llama.weights());
  EngineConfig engine_config;
  engine_config.max_batch_rows = config.max_batch_rows;
  const Engine engine(model.llama, model.tokenizer, engine_config, model.adapter);
  Team team(model.group, {&engine});
  try {
    if (model.group.rank() > 0) {
      team.serve();
      return std::nullopt;
    }
    const auto completions = team.generate(requests_for(problems, config, model));
    const SolvedProblems solved = solved_of(problems, completions);
    team.dismiss();  // after the grading: nobody waits for a rank that is asked here with a limit
    return solved;
  } catch (const Error& error) {
    if (!is_end_by_signal(error)) throw;
    return std::nullopt;
  }
}

void report_problems(const ProblemSet& set, const std::string& path) {
  log_info("{} problems held out, {} rows of {} rejected", set.problems.size(), set.rejected.size(),
           path);
  if (!set.malformed.empty() && launch_environment().rank == 0) log_warn("{}", set.malformed);
}

}  // namespace

SolveProblems heldout_accuracy(const HeldoutProblemsConfig& config) {
  ProblemSet set = read_problems(config.problems, config.max_problems, "");
  report_problems(set, config.problems);
  return [config, problems = std::move(set.problems)](const ModelInTraining& model) {
    return solve_together(problems, config, model);
  };
}

}  // namespace reflect
