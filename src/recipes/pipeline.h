// A recipe's steps over the rows of a problem: a small machine for each row that goes on until the
// row ends, waits for replies of models, or splits into several.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <vector>

#include "recipes/ask.h"
#include "recipes/inject.h"
#include "recipes/task.h"
#include "recipes/teacher_table.h"
#include "reflect/recipes/recipe.h"

namespace reflect {

// A row on its way.
struct RowRun {
  TraceRow row;
  std::uint64_t task = 0;                            // number of its problem in the run
  std::size_t step = 0;                              // the next one
  std::map<std::size_t, std::int64_t> rounds;        // done so far, by the loop's step
  std::size_t teacher = 0;                           // that is asked
  std::vector<TeacherRequest> requests;              // of the step that waits
  std::vector<std::optional<TeacherReply>> replies;  // in the requests' order
  std::size_t missing = 0;                           // replies that are still to come
};

// The requests of a row at a step whose model is asked.
std::vector<TeacherRequest> requests_of_step(const RecipeStep& step, AskingRow at);

// The rows of one problem in their order.
using RowRuns = std::list<RowRun>;

class Pipeline {
 public:
  // `recipe` and `teachers` must outlive the pipeline. Error (usage) where a step's teacher is not
  // there, or two models could be meant.
  Pipeline(const Recipe& recipe, std::uint64_t seed, const TeacherTable& teachers);

  // Whether any step asks a model.
  bool asks() const { return asks_; }
  // The model that a step asks, as an index of the table; nothing where it asks none.
  std::optional<std::size_t> teacher_of(std::size_t step) const { return asked_.at(step); }

  RowRun start(std::shared_ptr<const SourceTask> task, std::uint64_t attempt = 0) const;

  // Takes the row on, with the replies that it has waited for. After it the row has ended (its fate
  // says how) or waits (its `requests` are to be asked). Where it splits, the new rows stand in its
  // place in `rows`, taken on in the same way. Returns the rows that wait now.
  std::vector<RowRun*> advance(RowRuns& rows, RowRuns::iterator row);

  // Every solution of the problem as a row that is accepted, rejected or not used; for recipes that
  // ask nobody.
  std::vector<TraceRow> run(std::shared_ptr<const SourceTask> task);

 private:
  bool ask(RowRun& run);
  std::vector<RowRun*> replace(RowRuns& rows, RowRuns::iterator at, std::vector<TraceRow> parts);
  std::vector<TeacherRequest> requests_at(RowRun& run) const;
  std::vector<TraceRow> draw(const DrawStep& step, const RowRun& run) const;
  std::optional<std::vector<TraceRow>> split(const RowRun& run) const;
  void apply(const RecipeStep& step, RowRun& run);
  void end_round(const LoopStep& step, RowRun& run) const;
  void corrupt(TraceRow& row) const;
  void write(TraceRow& row) const;
  Random random_for(const TraceRow& row, std::string_view purpose) const;

  const Recipe& recipe_;
  std::uint64_t seed_;
  const TeacherTable& teachers_;
  std::vector<std::optional<std::size_t>> asked_;  // model by step
  bool asks_ = false;
  std::optional<InjectPlan> inject_;
};

}  // namespace reflect
