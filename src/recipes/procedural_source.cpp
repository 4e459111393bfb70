#include "recipes/source.h"

#include "reflect/base/hash.h"

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
