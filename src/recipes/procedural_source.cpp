#include "recipes/source.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

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
  if (!remember(content_hash64(task.program->prompt))) {
    task.refused = "repeated_problem";
    task.not_meant = true;
  }
  return task;
}

bool ProceduralSource::remember(std::uint64_t hash) {
  if (!kept_at_.empty()) to_keep_.push_back(hash);
  return seen_.insert(hash).second;
}

bool ProceduralSource::skip_to(const SourceMark& mark) {
  if (mark.items > count_) return false;
  if (!read_kept(mark.items)) {
    while (place_ < mark.items) remember(content_hash64(generator_.make(place_++).prompt));
  }
  return true;
}

// Takes the hashes of the first problems from the file of an earlier run, where it has them all.
bool ProceduralSource::read_kept(std::uint64_t items) {
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(kept_at_, error);
  if (error || size < items * sizeof(std::uint64_t)) return false;
  const MappedFile file(kept_at_);
  seen_.reserve(2 * items);
  for (; place_ < items; ++place_) {
    std::uint64_t hash = 0;
    std::memcpy(&hash, file.data() + place_ * sizeof(hash), sizeof(hash));
    seen_.insert(hash);
  }
  kept_items_ = items;
  return true;
}

void ProceduralSource::sync(const SourceMark& mark) {
  if (kept_at_.empty()) return;
  if (!kept_)
    kept_.emplace(kept_at_, static_cast<std::int64_t>(kept_items_ * sizeof(std::uint64_t)));
  const auto end = to_keep_.begin() + static_cast<std::ptrdiff_t>(mark.items - kept_items_);
  kept_->write({reinterpret_cast<const char*>(to_keep_.data()),
                static_cast<std::size_t>(end - to_keep_.begin()) * sizeof(std::uint64_t)});
  kept_->sync();
  to_keep_.erase(to_keep_.begin(), end);
  kept_items_ = mark.items;
}

void ProceduralSource::discard() {
  if (!kept_at_.empty()) ::unlink(kept_at_.c_str());
}

}  // namespace reflect
