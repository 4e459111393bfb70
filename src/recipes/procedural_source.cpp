#include "recipes/source.h"

namespace reflect {

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
  if (!seen_.insert(task.problem.id).second) {
    task.refused = "repeated_problem";
    task.not_meant = true;
  }
  return task;
}

}  // namespace reflect
