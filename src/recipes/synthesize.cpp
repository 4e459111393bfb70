#include "reflect/recipes/synthesize.h"

#include <algorithm>
#include <cstdio>
#include <map>

#include "recipes/mistake_kind.h"
#include "recipes/preview.h"
#include "recipes/source.h"
#include "recipes/synthesis.h"
#include "recipes/teacher_job.h"
#include "recipes/teacher_table.h"
#include "recipes/trace_output.h"
#include "reflect/base/config.h"
#include "reflect/base/hash.h"
#include "reflect/base/log.h"
#include "reflect/base/outputs.h"

namespace reflect {
namespace {

// Malformed rows that are told one by one where no file takes them.
constexpr std::int64_t kToldRows = 5;

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
  const bool writes = !config.estimate && config.show_prompt == 0;
  if (writes && config.output.empty())
    fail_usage("reflect-gen", "--output is missing: where rows are written");
  check_outputs("reflect-gen", {{"output", config.output}}, {{"input", config.input}});
  if (config.count < 0 || config.accept < 0) {
    fail_usage("reflect-gen", "--count {} and --accept {} must not be negative", config.count,
               config.accept);
  }
  if (config.attempts < 1 || config.show_prompt < 0) {
    fail_usage("reflect-gen", "--attempts {} is not 1 or more, or --show-prompt {} is negative",
               config.attempts, config.show_prompt);
  }
  if (config.budget.tokens < 0 || config.budget.usd < 0) {
    fail_usage("reflect-gen", "--budget.tokens {} and --budget.usd {} must not be negative",
               config.budget.tokens, config.budget.usd);
  }
  if (config.teacher.samples < 1) {
    fail_usage("reflect-gen", "--teacher.samples {} is not 1 or more", config.teacher.samples);
  }
  if (config.clean_fraction > 1 || (config.clean_fraction < 0 && config.clean_fraction != -1)) {
    fail_usage("reflect-gen", "--clean-fraction {} is not from 0 to 1; -1 is the recipe's",
               config.clean_fraction);
  }
  if (config.split.fraction < 0 || config.split.fraction > 1) {
    fail_usage("reflect-gen", "--split-fraction {} is not from 0 to 1", config.split.fraction);
  }
  if (config.problems_only && config.format != "records") {
    fail_usage("reflect-gen", "--format {} is for traces; problems are rows of the project's own",
               config.format);
  }
  if (generates(config) && config.count == 0 && config.accept == 0 && config.show_prompt == 0) {
    fail_usage("reflect-gen", "say how many problems: --count N, or --accept N rows{}",
               is_asked(config.teacher) ? "; or give a file with problems: --input" : "");
  }
  if (generates(config) && (!config.input.empty() || config.split.part != "all")) {
    fail_usage("reflect-gen",
               "--input and --split-part are for problems of a file, the teacher {} "
               "generates its own",
               config.teacher.kind);
  }
  if (!generates(config) && config.input.empty()) {
    fail_usage("reflect-gen", "--input is missing: the file with problems");
  }
  if (!generates(config) && config.count != 0) {
    fail_usage("reflect-gen", "--count is for generated problems; --accept limits the rows");
  }
}

TeacherTable teachers_of(const SynthesizeConfig& config) {
  std::vector<TeacherConfig> teachers = {config.teacher};
  teachers.insert(teachers.end(), config.teachers.begin(), config.teachers.end());
  return TeacherTable(std::move(teachers));
}

// Lays what the run itself asks for over the recipe, and over its hash.
void apply_run(const SynthesizeConfig& config, Recipe& recipe) {
  std::string changes;
  if (!config.error_profile.empty()) {
    recipe.error_profile = read_error_profile(config.error_profile);
    changes += json_of(*recipe.error_profile).dump();
  }
  bool has_share = false;
  for (RecipeStep& step : recipe.steps) {
    if (auto* corrupt = std::get_if<CorruptStep>(&step.settings)) {
      corrupt->profile = recipe.error_profile;
      has_share = true;
      if (config.clean_fraction < 0) continue;
      corrupt->clean_fraction = config.clean_fraction;
      corrupt->at_least_one = true;
    } else if (auto* draw = std::get_if<DrawStep>(&step.settings)) {
      has_share = true;
      if (config.clean_fraction >= 0) draw->clean_fraction = config.clean_fraction;
    }
  }
  if (config.clean_fraction >= 0) {
    if (!has_share) {
      fail_usage("reflect-gen",
                 "--clean-fraction: the recipe {} neither draws solutions nor writes "
                 "mistakes",
                 recipe.name);
    }
    changes += fmt::format("\n--clean-fraction={}", config.clean_fraction);
  }
  if (!changes.empty()) recipe.hash = content_hash(recipe.hash + changes);
}

Recipe recipe_for(const SynthesizeConfig& config) {
  if (config.recipe.empty()) {
    fail_usage("reflect-gen", "--recipe is missing: one of {}, or a .yaml file",
               fmt::join(recipe_names(), ", "));
  }
  Recipe recipe = load_recipe(config.recipe, settings_of(config.set));
  apply_run(config, recipe);
  const TeacherTable teachers = teachers_of(config);
  for (const TeacherConfig& teacher : teachers.configs()) {
    if (std::ranges::find(recipe.teachers, teacher.kind) != recipe.teachers.end()) continue;
    fail_usage("reflect-gen",
               "the recipe {} works with the teachers {}, not with {}; {} says which", recipe.name,
               fmt::join(recipe.teachers, ", "), teacher.kind,
               teacher.name.empty() ? "--teacher.kind" : "its `kind` under `teachers`");
  }
  return recipe;
}

std::unique_ptr<TaskSource> open_source(const SynthesizeConfig& config) {
  std::unique_ptr<TaskSource> source;
  if (generates(config)) {
    source = std::make_unique<ProceduralSource>(config.procedural,
                                                static_cast<std::uint64_t>(config.runtime.seed),
                                                generated_problems(config));
  } else {
    source = std::make_unique<FileSource>(config.input, config.split);
  }
  const Shard shard = shard_named(config.shard);
  if (shard.whole()) return source;
  return std::make_unique<ShardSource>(std::move(source), shard);
}

// Problems carry the system message of the recipe, if one is named, so that they are asked as its
// traces were written.
ExitCode write_problems(const SynthesizeConfig& config, TaskSource& source) {
  const std::string system = config.recipe.empty() ? "" : recipe_for(config).system_prompt;
  AtomicWriter writer(config.output);
  std::int64_t written = 0;
  std::map<std::string, std::int64_t> left_out;  // by reason
  while (config.accept == 0 || written < config.accept) {
    std::optional<SourceTask> task = source.next();
    if (!task) break;
    if (!task->refused.empty()) {
      if (++left_out[task->refused] <= kToldRows && task->problem.other.contains("detail")) {
        log_warn("{}", task->problem.other["detail"].get_ref<const std::string&>());
      }
      continue;
    }
    add_system_prompt(system, task->problem);
    write_json_line(writer, json_of(task->problem));
    ++written;
  }
  writer.commit();
  std::vector<std::string> reasons;
  for (const auto& [reason, count] : left_out)
    reasons.push_back(fmt::format("{} {}", reason, count));
  log_info("{} problems written, left out: {}", written,
           reasons.empty() ? "none" : fmt::format("{}", fmt::join(reasons, ", ")));
  if (config.accept == 0 || written == config.accept) return ExitCode::kDone;
  log_warn("{} of {} problems: {}", written, config.accept, words_for_end(config));
  return ExitCode::kIncomplete;
}

// Of several processes the first one alone does such a run.
bool asks_nobody(const SynthesizeConfig& config) {
  return config.list_recipes || config.profile_only || config.problems_only ||
         config.show_prompt != 0;
}

ExitCode write_profile(const SynthesizeConfig& config) {
  if (config.input.empty() || config.output.empty()) {
    fail_usage("reflect-gen", "--profile-only reads --input and writes --output");
  }
  check_outputs("reflect-gen", {{"output", config.output}}, {{"input", config.input}});
  const MeasuredProfile measured = measure_profile(config.input);
  const ErrorProfile& profile = measured.profile;
  log_info(
      "{} solutions, {} wrong, {} mistakes with a place ({} of a kind that is told), {} wrong "
      "solutions without a place, {} malformed rows",
      measured.solutions, measured.wrong, profile.mistakes,
      static_cast<std::int64_t>(profile.told()), measured.without_place, measured.refused);
  if (profile.mistakes == 0) fail("reflect-gen", "{} holds no mistake with a place", config.input);
  AtomicWriter writer(config.output);
  writer.write(json_of(profile).dump(2) + "\n");
  writer.commit();
  return ExitCode::kDone;
}

}  // namespace

ExitCode synthesize(const SynthesizeConfig& given) {
  SynthesizeConfig config = given;
  config.output = shard_path(given.output, shard_named(given.shard));
  if (asks_nobody(config) && !is_first_of_same(config)) return ExitCode::kDone;
  if (config.list_recipes) {
    print_recipes();
    return ExitCode::kDone;
  }
  if (config.profile_only) return write_profile(config);
  check_flags(config);
  if (config.problems_only) return write_problems(config, *open_source(config));
  const Recipe recipe = recipe_for(config);
  const TeacherTable teachers = teachers_of(config);
  if (config.show_prompt != 0) {
    return show_prompts(config, recipe, teachers, *open_source(config));
  }
  TeacherJob job(config, recipe, teachers);
  if (!job.first()) return job.serve();
  if (config.estimate) return estimate(config, recipe, teachers, job, *open_source(config));
  return Synthesis(config, recipe, teachers, job).run([&] { return open_source(config); });
}

}  // namespace reflect
