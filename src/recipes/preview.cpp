#include "recipes/preview.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "recipes/ask.h"
#include "recipes/recipe_check.h"
#include "recipes/synthesis.h"
#include "reflect/base/error.h"
#include "reflect/base/signals.h"

namespace reflect {
namespace {

constexpr std::int64_t kPilotProblems = 20;

// A row of the problem whose unknown fields hold their own names.
TraceRow row_to_show(const Recipe& recipe, SourceTask task) {
  TraceRow row;
  row.task = std::make_shared<const SourceTask>(std::move(task));
  std::vector<std::string> names = fields_made(recipe);
  for (const std::string& name : given_fields()) {
    if (RowFields(recipe, row).text(name).empty()) names.push_back(name);
  }
  for (const std::string& name : names) row.fields[name] = {"{{" + name + "}}"};
  return row;
}

void print(const TeacherRequest& request) {
  for (const Message& message : request.messages) {
    fmt::print("[{}]\n{}\n", message.role, message.content);
  }
  if (!request.begun.empty()) fmt::print("[assistant, begun]\n{}\n", request.begun);
  fmt::print("\n");
}

std::string amount_of(double value) {
  return fmt::format("{:.0f}", std::ceil(value));
}

// What a number of problems is of those that were tried.
void print_estimate(const Synthesis& pilot, double problems, std::int64_t accept) {
  const RunCounts& counts = pilot.counts();
  const UsedReplies used = pilot.used();
  const double factor = problems / static_cast<double>(counts.problems);
  fmt::print("{} problems tried: {} rows accepted, {} replies, {} tokens\n", counts.problems,
             counts.accepted, used.replies, used.prompt_tokens + used.completion_tokens);
  fmt::print("expected for {} problems{}\n", amount_of(problems),
             accept == 0 ? "" : fmt::format(" ({} accepted rows)", accept));
  const auto line = [&](std::string_view name, double value) {
    fmt::print("  {:<20}{:>14}\n", name, amount_of(value * factor));
  };
  line("rows accepted", static_cast<double>(counts.accepted));
  line("requests", static_cast<double>(used.replies));
  line("prompt tokens", static_cast<double>(used.prompt_tokens));
  line("completion tokens", static_cast<double>(used.completion_tokens));
  fmt::print("  {:<20}{:>14.4f}\n", "US dollars", used.usd * factor);
}

}  // namespace

ExitCode show_prompts(const SynthesizeConfig& config, const Recipe& recipe,
                      const TeacherTable& teachers, TaskSource& source) {
  const Pipeline pipeline(recipe, static_cast<std::uint64_t>(config.runtime.seed), teachers);
  std::int64_t shown = 0;
  while (shown < config.show_prompt) {
    std::optional<SourceTask> task = source.next();
    if (!task) break;
    if (!task->refused.empty()) continue;
    fmt::print("=== problem {} ({})\n", ++shown, task->problem.id);
    TraceRow row = row_to_show(recipe, std::move(*task));
    for (std::size_t i = 0; i < recipe.steps.size(); ++i) {
      const RecipeStep& step = recipe.steps[i];
      const std::optional<std::size_t> teacher = pipeline.teacher_of(i);
      if (!teacher) continue;
      const TeacherConfig& asked = teachers.configs()[*teacher];
      const auto requests =
          requests_of_step(step, {recipe, i, asked.sampling, asked.samples,
                                  static_cast<std::uint64_t>(config.runtime.seed), row});
      if (requests.empty()) continue;
      fmt::print("--- {} ({}): {} of {}\n", step.kind(), step.place,
                 requests.size() == 1 ? "1 request" : fmt::format("{} requests", requests.size()),
                 asked.name.empty() ? asked.kind : asked.name);
      print(requests.front());
    }
  }
  if (!pipeline.asks()) fmt::print("the recipe {} asks no model\n", recipe.name);
  return ExitCode::kDone;
}

ExitCode estimate(const SynthesizeConfig& config, const Recipe& recipe,
                  const TeacherTable& teachers, TeacherJob& job, TaskSource& source) {
  SynthesizeConfig pilot_config = config;
  pilot_config.accept = 0;
  Synthesis pilot(pilot_config, recipe, teachers, job);
  pilot.pilot(source, kPilotProblems);
  if (signal_received() != 0) return ExitCode::kIncomplete;
  std::int64_t problems = pilot.counts().problems;
  while (source.next()) ++problems;
  if (problems == 0) fail("reflect-gen", "{} has no problems", config.input);
  double wanted = static_cast<double>(problems);
  if (config.accept != 0) {
    const double yield =
        static_cast<double>(pilot.counts().accepted) / static_cast<double>(pilot.counts().problems);
    wanted = yield == 0 ? wanted : std::min(wanted, static_cast<double>(config.accept) / yield);
  }
  print_estimate(pilot, wanted, config.accept);
  return ExitCode::kDone;
}

}  // namespace reflect
