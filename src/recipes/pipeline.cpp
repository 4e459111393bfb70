#include "recipes/pipeline.h"

#include "recipes/locate.h"
#include "recipes/mend.h"
#include "recipes/parse_reply.h"
#include "recipes/verify.h"
#include "reflect/base/hash.h"
#include "reflect/tasks/checker.h"

namespace reflect {
namespace {

// Whether a drawn solution goes on, waits as a right one among wrong ones, or is left.
void sort_out(const DrawStep& step, TraceRow& row) {
  const Solution& solution = row.solution;
  const Record& problem = row.task->problem;
  if (!problem.answer) return row.reject("no_gold_answer");
  const bool right = Checker::named("auto").check(solution.output, *problem.answer).right;
  if (solution.marked_right && *solution.marked_right != right) {
    return row.reject("verdict_disagrees",
                      "the file says " + std::string(right ? "wrong" : "right"));
  }
  const bool flawless = right && !solution.mistake;
  if (step.keep == "any" || flawless == (step.keep == "right")) return;
  if (!flawless) return row.end(Fate::kNotUsed, "wrong_solution");
  if (step.clean_fraction == 0) return row.end(Fate::kNotUsed, "right_solution");
  row.right_at_once = true;
}

}  // namespace

Pipeline::Pipeline(const Recipe& recipe, std::uint64_t seed) : recipe_(recipe), seed_(seed) {
  for (const RecipeStep& step : recipe.steps) {
    if (const auto* corrupt = std::get_if<CorruptStep>(&step)) inject_.emplace(*corrupt);
  }
}

std::vector<TraceRow> Pipeline::run(std::shared_ptr<const SourceTask> task) {
  std::vector<TraceRow> rows(1);
  rows[0].task = std::move(task);
  for (const RecipeStep& step : recipe_.steps) {
    if (const auto* draw_step = std::get_if<DrawStep>(&step)) {
      rows = draw(*draw_step, rows[0]);
      continue;
    }
    for (TraceRow& row : rows) {
      if (row.fate == Fate::kUnderWay) apply(step, row);
    }
  }
  for (TraceRow& row : rows) {
    if (row.fate != Fate::kUnderWay) continue;
    if (row.response.empty()) {
      row.reject("no_response");
    } else {
      row.fate = Fate::kAccepted;
    }
  }
  return rows;
}

// An executable problem needs no solution: it goes on as it is.
std::vector<TraceRow> Pipeline::draw(const DrawStep& step, const TraceRow& row) const {
  if (row.task->program) return {row};
  std::vector<TraceRow> rows(row.task->solutions.size(), row);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i].solution = row.task->solutions[i];
    sort_out(step, rows[i]);
    if (rows[i].fate != Fate::kUnderWay) rows[i].at_step = DrawStep::kKind;
  }
  return rows;
}

void Pipeline::apply(const RecipeStep& step, TraceRow& row) {
  struct Applier {
    Pipeline& pipeline;
    TraceRow& row;
    void operator()(const DrawStep&) const {}
    void operator()(const CorruptStep&) const { pipeline.corrupt(row); }
    void operator()(const LocateStep& each) const { locate(each, row); }
    void operator()(const MendStep& each) const {
      mend(each, row, pipeline.random_for(row, "reflection"));
    }
    void operator()(const ParseStep& each) const { parse_reply(each, row); }
    void operator()(const WriteStep&) const { pipeline.write(row); }
    void operator()(const VerifyStep& each) const { verify(each, row); }
  };
  std::visit(Applier{*this, row}, step);
  if (row.fate != Fate::kUnderWay) {
    row.at_step = std::visit([](const auto& each) { return each.kKind; }, step);
  }
}

void Pipeline::corrupt(TraceRow& row) {
  const SourceTask& task = *row.task;
  if (!task.program) return row.reject("not_executable");
  InjectedTrace trace =
      inject(*inject_, *task.family, *task.program, random_for(row, "inject"), redrawn_);
  row.response = std::move(trace.text);
  row.spans = std::move(trace.spans);
  for (const InjectedError& error : trace.errors) {
    row.errors.push_back({error.round, std::string(name_of(error.kind)), Proof::kExecuted,
                          error.step, error.noticed_after});
  }
}

// A program is written as it runs, a solution or the problem's own steps as they stand.
void Pipeline::write(TraceRow& row) {
  const SourceTask& task = *row.task;
  if (!task.program) return write_plain(row);
  CorruptStep without_mistakes;
  without_mistakes.q = 0;
  InjectedTrace trace = inject(InjectPlan(without_mistakes), *task.family, *task.program,
                               random_for(row, "inject"), redrawn_);
  row.response = std::move(trace.text);
  row.spans = std::move(trace.spans);
}

// Keyed by the problem's place in its source and who wrote the solution.
Random Pipeline::random_for(const TraceRow& row, std::string_view purpose) const {
  return Random(seed_, purpose, {row.task->place, content_hash64(row.solution.source)});
}

}  // namespace reflect
