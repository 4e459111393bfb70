#include "recipes/teacher_job.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <vector>

#include "recipes/local_teacher.h"
#include "recipes/openai_teacher.h"
#include "recipes/pipeline.h"
#include "reflect/base/config.h"
#include "reflect/base/hash.h"
#include "reflect/base/log.h"
#include "reflect/base/signals.h"
#include "reflect/dist/launch.h"
#include "reflect/dist/process_group.h"

namespace reflect {
namespace {

bool decodes_here(const TeacherConfig& config) {
  return config.kind == "local";
}

bool asks_local(const SynthesizeConfig& config, const Recipe& recipe,
                const TeacherTable& teachers) {
  if (!std::ranges::any_of(teachers.configs(), decodes_here)) return false;
  return Pipeline(recipe, static_cast<std::uint64_t>(config.runtime.seed), teachers).asks();
}

NamedTexts compared(SynthesizeConfig config) {
  NamedTexts settings = texts_of(fields_of(config));
  settings.emplace_back("the hash of all settings", content_hash(to_yaml(fields_of(config))));
  return settings;
}

Placement meet_decoders(const SynthesizeConfig& config, const Recipe& recipe) {
  Placement placement = open_placement({}, config.launch, config.runtime);
  NamedTexts settings = compared(config);
  settings.emplace_back("the hash of the recipe", recipe.hash);
  placement.group.require_same(settings);
  return placement;
}

}  // namespace

bool is_first_of_same(const SynthesizeConfig& config) {
  const LaunchEnvironment place = launch_environment();
  ProcessGroup group(place, {.timeout = std::chrono::seconds(config.launch.timeout)});
  group.require_same(compared(config));
  return place.rank == 0;
}

TeacherJob::TeacherJob(const SynthesizeConfig& config, const Recipe& recipe,
                       const TeacherTable& teachers)
    : teachers_(teachers),
      runtime_(config.runtime),
      first_(launch_environment().rank == 0),
      decodes_(asks_local(config, recipe, teachers)),
      placement_(decodes_ ? meet_decoders(config, recipe) : Placement()),
      team_(placement_.group) {
  if (decodes_) return;
  const int processes = launch_environment().world_size;
  if (is_first_of_same(config) && processes > 1)
    log_info("no teacher decodes here: of {} processes one does all the work", processes);
}

std::unique_ptr<Teacher> TeacherJob::open(const TeacherConfig& config) {
  if (decodes_here(config)) {
    Placement placement = placement_;
    placement.config = config.placement;
    return open_local_teacher(config, runtime_, placement, team_);
  }
  if (config.kind == "openai") {
    return std::make_unique<OpenAiTeacher>(config.endpoint, config.model, config.template_name,
                                           static_cast<std::uint64_t>(runtime_.seed));
  }
  fail_usage("teacher", "the teacher {} cannot be asked; local and openai can", config.kind);
}

ExitCode TeacherJob::serve() {
  if (!decodes_) return ExitCode::kDone;
  std::vector<std::unique_ptr<Teacher>> opened;
  for (const TeacherConfig& config : teachers_.configs())
    if (decodes_here(config)) opened.push_back(open(config));
  try {
    team_.serve();
  } catch (const Error&) {
    if (signal_received() == 0) throw;  // else it is told by the exit code
  }
  return signal_received() == 0 ? ExitCode::kDone : ExitCode::kIncomplete;
}

void TeacherJob::dismiss() noexcept {
  try {
    team_.dismiss();
  } catch (const std::exception& error) {
    log_debug("{}", error.what());  // one has ended before; who started it says so
  }
}

}  // namespace reflect
