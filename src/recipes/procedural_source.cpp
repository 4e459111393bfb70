#include "recipes/source.h"

#include <algorithm>

#include "reflect/base/error.h"
#include "reflect/base/hash.h"

namespace reflect {
namespace {

// Generated problems for each row that is asked for, where their number is not given.
constexpr std::int64_t kProblemsPerRow = 10;

}  // namespace

// A model is asked about problems of a file or, without one, about generated ones.
bool generates(const SynthesizeConfig& config) {
  return config.teacher.kind == "procedural" || (is_asked(config.teacher) && config.input.empty());
}

std::int64_t generated_problems(const SynthesizeConfig& config) {
  const std::int64_t rows = std::max(config.accept, config.show_prompt);
  return config.count != 0 ? config.count : kProblemsPerRow * rows;
}

std::string words_for_end(const SynthesizeConfig& config) {
  if (!generates(config)) return "the input ended";
  return fmt::format("all {} generated problems are used; a greater --count makes more",
                     generated_problems(config));
}

ProceduralSource::ProceduralSource(const ProceduralConfig& config, std::uint64_t seed,
                                   std::int64_t count)
    : generator_(config, seed), count_(static_cast<std::size_t>(count)) {}

std::optional<SourceTask> ProceduralSource::next() {
  if (place_ == count_) return std::nullopt;
  SourceTask task;
  task.place = place_++;
  task.family = &generator_.family_of(task.place);
  task.program = generator_.make(task.place);
  task.problem.messages.push_back({"user", task.program->prompt});
  task.problem.answer = task.program->answer;
  task.problem.id = content_id(task.problem);
  task.problem.other["family"] = task.program->family;
  task.problem.other["operations"] = task.program->steps.size();
  if (!seen_.insert(content_hash64(task.program->prompt)).second) {
    task.refused = "repeated_problem";
    task.not_meant = true;
  }
  return task;
}

// Which problems have come before has to be known: all are made once more, without their records.
bool ProceduralSource::skip_to(const SourceMark& mark) {
  if (mark.items > count_) return false;
  while (place_ < mark.items) seen_.insert(content_hash64(generator_.make(place_++).prompt));
  return true;
}

}  // namespace reflect
