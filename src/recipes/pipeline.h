// A recipe's steps over the solutions of a problem.
#pragma once

#include <memory>
#include <vector>

#include "recipes/inject.h"
#include "recipes/task.h"
#include "reflect/recipes/recipe.h"

namespace reflect {

class Pipeline {
 public:
  // `recipe` must outlive the pipeline.
  Pipeline(const Recipe& recipe, std::uint64_t seed);

  // Every solution of the problem as a row that is accepted, rejected or not used.
  std::vector<TraceRow> run(std::shared_ptr<const SourceTask> task);

  const RedrawCounts& redrawn() const { return redrawn_; }

 private:
  std::vector<TraceRow> draw(const DrawStep& step, const TraceRow& row) const;
  void apply(const RecipeStep& step, TraceRow& row);
  void corrupt(TraceRow& row);
  void write(TraceRow& row);
  Random random_for(const TraceRow& row, std::string_view purpose) const;

  const Recipe& recipe_;
  std::uint64_t seed_;
  std::optional<InjectPlan> inject_;
  RedrawCounts redrawn_{};
};

}  // namespace reflect
