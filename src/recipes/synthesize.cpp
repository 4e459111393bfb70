#include "reflect/recipes/synthesize.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdio>

#include "recipes/pipeline.h"
#include "recipes/run_report.h"
#include "recipes/source.h"
#include "recipes/trace_output.h"
#include "reflect/base/config.h"
#include "reflect/base/signals.h"
#include "reflect/metrics/progress.h"

namespace reflect {
namespace {

// Generated problems for each row that is asked for, where their number is not given.
constexpr std::int64_t kProblemsPerRow = 10;

void print_recipes() {
  for (const std::string& name : recipe_names()) {
    const Recipe recipe = load_recipe(name);
    fmt::print("{:<12} {} ({})\n", name, recipe.summary, fmt::join(recipe.teachers, ", "));
  }
}

RecipeSettings settings_of(RecipeOverrides overrides) {
  RecipeSettings settings;
  if (overrides.system_prompt != "inherit") {
    settings.emplace_back("system_prompt", overrides.system_prompt);
  }
  overrides.system_prompt.clear();
  for (const Field& field : fields_of(overrides)) {
    if (std::string text = text_of(field); !text.empty()) {
      settings.emplace_back(field.path, std::move(text));
    }
  }
  return settings;
}

void check_flags(const SynthesizeConfig& config) {
  const bool generates = config.teacher.kind == "procedural";
  if (config.output.empty())
    fail_usage("reflect-gen", "--output is missing: where rows are written");
  if (config.count < 0 || config.accept < 0) {
    fail_usage("reflect-gen", "--count {} and --accept {} must not be negative", config.count,
               config.accept);
  }
  if (config.split.fraction < 0 || config.split.fraction > 1) {
    fail_usage("reflect-gen", "--split-fraction {} is not from 0 to 1", config.split.fraction);
  }
  if (generates && config.count == 0 && config.accept == 0) {
    fail_usage("reflect-gen", "say how many problems: --count N, or --accept N rows");
  }
  if (generates && (!config.input.empty() || config.split.part != "all")) {
    fail_usage("reflect-gen",
               "--input and --split-part are for problems of a file, the teacher {} "
               "generates its own",
               config.teacher.kind);
  }
  if (!generates && config.input.empty()) {
    fail_usage("reflect-gen", "--input is missing: the file with problems");
  }
  if (!generates && config.count != 0) {
    fail_usage("reflect-gen", "--count is for generated problems; --accept limits the rows");
  }
}

Recipe recipe_for(const SynthesizeConfig& config) {
  if (config.recipe.empty()) {
    fail_usage("reflect-gen", "--recipe is missing: one of {}, or a .yaml file",
               fmt::join(recipe_names(), ", "));
  }
  Recipe recipe = load_recipe(config.recipe, settings_of(config.set));
  if (std::ranges::find(recipe.teachers, config.teacher.kind) == recipe.teachers.end()) {
    fail_usage("reflect-gen", "the recipe {} has no use for the teacher {}; it works with {}",
               recipe.name, config.teacher.kind, fmt::join(recipe.teachers, ", "));
  }
  return recipe;
}

std::unique_ptr<TaskSource> open_source(const SynthesizeConfig& config) {
  if (config.teacher.kind == "procedural") {
    const std::int64_t count = config.count != 0 ? config.count : kProblemsPerRow * config.accept;
    return std::make_unique<ProceduralSource>(
        config.procedural, static_cast<std::uint64_t>(config.runtime.seed), count);
  }
  return std::make_unique<FileSource>(config.input, config.split);
}

// The share of right solutions among wrong ones that a recipe asks for.
double clean_share(const Recipe& recipe) {
  for (const RecipeStep& step : recipe.steps) {
    if (const auto* draw = std::get_if<DrawStep>(&step)) return draw->clean_fraction;
  }
  return 0;
}

TraceRow refused_row(std::shared_ptr<const SourceTask> task) {
  TraceRow row;
  row.task = std::move(task);
  row.end(row.task->not_meant ? Fate::kNotUsed : Fate::kRejected, row.task->refused,
          row.task->problem.other.value("detail", ""));
  return row;
}

// Runs all problems through the recipe until the input or the need for rows ends.
class Synthesis {
 public:
  Synthesis(const SynthesizeConfig& config, const Recipe& recipe)
      : config_(config),
        pipeline_(recipe, static_cast<std::uint64_t>(config.runtime.seed)),
        clean_share_(clean_share(recipe)),
        output_(config.output, RunLineage(recipe, config)),
        progress_("traces", "traces", config.accept, config.runtime.quiet) {}

  ExitCode run(TaskSource& source) {
    while (!enough()) {
      if (signal_received() != 0) return ExitCode::kIncomplete;
      std::optional<SourceTask> task = source.next();
      if (!task) break;
      ++counts_.problems;
      const auto shared = std::make_shared<const SourceTask>(std::move(*task));
      if (!shared->refused.empty()) {
        finish(refused_row(shared));
      } else {
        for (TraceRow& row : pipeline_.run(shared)) finish(std::move(row));
      }
    }
    return conclude();
  }

 private:
  bool enough() const { return config_.accept != 0 && counts_.accepted == config_.accept; }

  void finish(TraceRow row) {
    if (row.fate == Fate::kAccepted && enough()) row.end(Fate::kNotUsed, "enough_rows");
    if (row.fate == Fate::kAccepted && row.right_at_once && !clean_wanted()) {
      row.end(Fate::kNotUsed, "enough_clean_rows");
    }
    output_.write(row);
    if (row.fate == Fate::kAccepted && row.right_at_once) ++clean_;
    counts_.add(row);
    progress_.update(counts_.accepted);
  }

  bool clean_wanted() const {
    return static_cast<double>(clean_ + 1) <=
           clean_share_ * static_cast<double>(counts_.accepted + 1);
  }

  ExitCode conclude() {
    counts_.check_sum();
    progress_.finish();
    output_.commit(manifest());
    fmt::print(config_.output == "-" ? stderr : stdout, "{}",
               table_of(counts_, pipeline_.redrawn()));
    if (config_.accept == 0 || enough()) return ExitCode::kDone;
    spdlog::warn("{} of {} rows: the input ended", counts_.accepted, config_.accept);
    return ExitCode::kIncomplete;
  }

  Json manifest() const {
    const RunLineage& run = output_.run();
    Json json = {{"tool", "reflect-gen " REFLECT_VERSION},
                 {"recipe", run.recipe},
                 {"recipe_hash", run.recipe_hash},
                 {"system_prompt", run.system_prompt},
                 {"system_prompt_hash", run.system_prompt_hash},
                 {"teacher", run.teacher},
                 {"seed", run.seed}};
    SynthesizeConfig copy = config_;
    for (const Field& field : fields_of(copy)) json["settings"][field.path] = text_of(field);
    json["counts"] = json_of(counts_, pipeline_.redrawn());
    return json;
  }

  const SynthesizeConfig& config_;
  Pipeline pipeline_;
  double clean_share_;
  TraceOutput output_;
  Progress progress_;
  RunCounts counts_;
  std::int64_t clean_ = 0;
};

// Problems carry the system message of the recipe, if one is named, so that they are asked as its
// traces were written.
ExitCode write_problems(const SynthesizeConfig& config, TaskSource& source) {
  const std::string system = config.recipe.empty() ? "" : recipe_for(config).system_prompt;
  AtomicWriter writer(config.output);
  std::int64_t written = 0, left_out = 0;
  while (config.accept == 0 || written < config.accept) {
    std::optional<SourceTask> task = source.next();
    if (!task) break;
    if (!task->refused.empty()) {
      ++left_out;
      continue;
    }
    add_system_prompt(system, task->problem);
    write_json_line(writer, json_of(task->problem));
    ++written;
  }
  writer.commit();
  spdlog::info("{} problems written, {} left out (another part, repeated or malformed)", written,
               left_out);
  return config.accept == 0 || written == config.accept ? ExitCode::kDone : ExitCode::kIncomplete;
}

}  // namespace

ExitCode synthesize(const SynthesizeConfig& config) {
  if (config.list_recipes) {
    print_recipes();
    return ExitCode::kDone;
  }
  check_flags(config);
  if (config.problems_only) return write_problems(config, *open_source(config));
  const Recipe recipe = recipe_for(config);
  const std::unique_ptr<TaskSource> source = open_source(config);
  return Synthesis(config, recipe).run(*source);
}

}  // namespace reflect
