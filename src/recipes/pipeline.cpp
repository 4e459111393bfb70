#include "recipes/pipeline.h"

#include "recipes/ask.h"
#include "recipes/decide.h"
#include "recipes/fields.h"
#include "recipes/locate.h"
#include "recipes/mend.h"
#include "recipes/parse_reply.h"
#include "recipes/solution.h"
#include "recipes/verify.h"
#include "reflect/base/error.h"
#include "reflect/base/hash.h"
#include "reflect/tasks/checker.h"

namespace reflect {
namespace {

// Whether a drawn solution goes on, waits as a right one among wrong ones, or is left.
void sort_out(const DrawStep& step, TraceRow& row) {
  if (step.keep == "unchecked") return;
  const Solution& solution = row.solution;
  const Record& problem = row.task->problem;
  if (!problem.answer) return row.reject("no_gold_answer");
  const bool right = Checker::named(step.checker).check(solution.output, *problem.answer).right;
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

const Asking* asking_of(const RecipeStep& step) {
  if (const auto* each = std::get_if<DrawStep>(&step.settings)) {
    return each->from == "teacher" ? &each->asking : nullptr;
  }
  if (const auto* each = std::get_if<AskStep>(&step.settings)) return &each->asking;
  if (const auto* each = std::get_if<JudgeStep>(&step.settings)) return &each->asking;
  if (const auto* each = std::get_if<CheckStep>(&step.settings)) {
    return each->checker == kJudge ? &each->asking : nullptr;
  }
  if (const auto* each = std::get_if<VerifyStep>(&step.settings)) {
    return each->checker == kJudge ? &each->asking : nullptr;
  }
  return nullptr;
}

// Recorded solutions can be drawn too, and an optional question is passed over.
bool needs_model(const RecipeStep& step) {
  const auto* ask = std::get_if<AskStep>(&step.settings);
  return !std::holds_alternative<DrawStep>(step.settings) && (ask == nullptr || !ask->optional);
}

struct Questions {
  AskingRow at;
  std::vector<TeacherRequest> operator()(const AskStep& step) const {
    return requests_of(step, at);
  }
  std::vector<TeacherRequest> operator()(const JudgeStep& step) const {
    return requests_of(step, at);
  }
  std::vector<TeacherRequest> operator()(const DrawStep& step) const {
    return requests_of(step, at);
  }
  std::vector<TeacherRequest> operator()(const CheckStep& step) const {
    return judge_requests(step.asking, at, comparison_of(step, at.recipe, at.row));
  }
  std::vector<TeacherRequest> operator()(const VerifyStep& step) const {
    return judge_requests(step.asking, at, comparison_of(step, at.row));
  }
  template <class Step>
  std::vector<TeacherRequest> operator()(const Step&) const {
    return {};
  }
};

}  // namespace

Pipeline::Pipeline(const Recipe& recipe, std::uint64_t seed, const TeacherTable& teachers)
    : recipe_(recipe), seed_(seed), teachers_(teachers), asked_(recipe.steps.size()) {
  for (std::size_t i = 0; i < recipe.steps.size(); ++i) {
    const RecipeStep& step = recipe.steps[i];
    if (const auto* corrupt = std::get_if<CorruptStep>(&step.settings)) inject_.emplace(*corrupt);
    const Asking* asking = asking_of(step);
    if (asking == nullptr) continue;
    const std::size_t teacher = teachers.find(asking->teacher, step.place);
    if (is_asked(teachers.configs()[teacher])) {
      asked_[i] = teacher;
      asks_ = true;
    } else if (needs_model(step)) {
      const TeacherConfig& found = teachers.configs()[teacher];
      const bool named = !asking->teacher.empty() && asking->teacher != found.name;
      fail_usage("recipe",
                 "{}: step {} asks a model{}, the teacher {} is none; give --teacher.kind "
                 "local or openai{}",
                 step.place, step.kind(),
                 named ? fmt::format("; no teacher has the name \"{}\"", asking->teacher) : "",
                 found.kind, named ? ", or a file with `teachers` (--config)" : "");
    }
  }
}

RowRun Pipeline::start(std::shared_ptr<const SourceTask> task, std::uint64_t attempt) const {
  RowRun run;
  run.row.task = std::move(task);
  run.row.attempt = attempt;
  return run;
}

std::vector<TraceRow> Pipeline::run(std::shared_ptr<const SourceTask> task) {
  RowRuns runs;
  runs.push_back(start(std::move(task)));
  if (!advance(runs, runs.begin()).empty()) {
    fail("recipe", "the recipe {} asks a model", recipe_.name);
  }
  std::vector<TraceRow> rows;
  for (RowRun& run : runs) rows.push_back(std::move(run.row));
  return rows;
}

std::vector<RowRun*> Pipeline::advance(RowRuns& rows, RowRuns::iterator at) {
  RowRun& run = *at;
  while (run.row.fate == Fate::kUnderWay && run.step < recipe_.steps.size()) {
    const RecipeStep& step = recipe_.steps[run.step];
    if (run.requests.empty()) {
      if (!RowFields(recipe_, run.row).all_hold(step.when)) {
        ++run.step;
        continue;
      }
      if (ask(run)) return {&run};
    }
    if (auto parts = split(run)) return replace(rows, at, std::move(*parts));
    apply(step, run);
    run.requests.clear();
    run.replies.clear();
    if (run.row.fate != Fate::kUnderWay) run.row.at_step = step.kind();
    ++run.step;
  }
  if (run.row.fate == Fate::kUnderWay) {
    if (run.row.response.empty()) {
      run.row.reject("no_response");
    } else {
      run.row.fate = Fate::kAccepted;
    }
  }
  return {};
}

// Puts the parts in the place of the row and takes those on that have not ended.
std::vector<RowRun*> Pipeline::replace(RowRuns& rows, RowRuns::iterator at,
                                       std::vector<TraceRow> parts) {
  RowRuns runs;
  for (TraceRow& part : parts) {
    RowRun& run = runs.emplace_back();
    run.row = std::move(part);
    if (runs.size() > 1) run.row.redrawn = {};  // the first one's
    run.task = at->task;
    run.rounds = at->rounds;
    run.step = at->step + 1;
    if (run.row.fate != Fate::kUnderWay) run.row.at_step = recipe_.steps[at->step].kind();
  }
  std::vector<RowRun*> waiting;
  for (auto run = runs.begin(); run != runs.end();) {
    const auto current = run++;
    for (RowRun* each : advance(runs, current)) waiting.push_back(each);
  }
  rows.splice(at, runs);
  rows.erase(at);
  return waiting;
}

// Whether the row has to wait for models at its step now.
bool Pipeline::ask(RowRun& run) {
  if (!asked_[run.step]) return false;
  run.teacher = *asked_[run.step];
  run.requests = requests_at(run);
  run.replies.assign(run.requests.size(), std::nullopt);
  run.missing = run.requests.size();
  return run.missing != 0;
}

std::vector<TeacherRequest> Pipeline::requests_at(RowRun& run) const {
  const RecipeStep& step = recipe_.steps[run.step];
  const TeacherConfig& teacher = teachers_.configs()[run.teacher];
  const AskingRow at{recipe_, run.step, teacher.sampling, teacher.samples, seed_, run.row};
  return requests_of_step(step, at);
}

// The rows that a row becomes at a step that makes several.
std::optional<std::vector<TraceRow>> Pipeline::split(const RowRun& run) const {
  const StepSettings& step = recipe_.steps[run.step].settings;
  if (const auto* each = std::get_if<DrawStep>(&step)) {
    if (run.requests.empty() && run.row.task->program) return std::nullopt;
    return draw(*each, run);
  }
  if (const auto* each = std::get_if<AssembleStep>(&step)) {
    return assemble(*each, recipe_, run.row);
  }
  return std::nullopt;
}

// Each recorded solution or reply as a row.
std::vector<TraceRow> Pipeline::draw(const DrawStep& step, const RowRun& run) const {
  std::vector<TraceRow> rows;
  const bool asked = !run.requests.empty();
  const std::vector<Solution>& recorded = run.row.task->solutions;
  for (std::size_t i = 0; i < (asked ? run.replies.size() : recorded.size()); ++i) {
    TraceRow& row = rows.emplace_back(run.row);
    if (!asked) {
      row.solution = recorded[i];
    } else {
      const std::string source = run.row.attempt == 0
                                     ? fmt::format("draw-{}", i)
                                     : fmt::format("draw-{}-{}", run.row.attempt, i);
      row.solution = solution_of_reply(source, run.replies[i]->text);
      if (!use_reply(*run.replies[i], row)) continue;
    }
    sort_out(step, row);
  }
  return rows;
}

std::vector<TeacherRequest> requests_of_step(const RecipeStep& step, AskingRow at) {
  return std::visit(Questions{at}, step.settings);
}

void Pipeline::apply(const RecipeStep& step, RowRun& run) {
  struct Applier {
    Pipeline& pipeline;
    RowRun& run;
    TraceRow& row;
    std::vector<TeacherReply> replies() const {
      std::vector<TeacherReply> all;
      for (auto& reply : run.replies) all.push_back(std::move(*reply));
      return all;
    }
    const Recipe& recipe() const { return pipeline.recipe_; }

    void operator()(const DrawStep&) const {}
    void operator()(const AssembleStep&) const {}
    void operator()(const CorruptStep&) const { pipeline.corrupt(row); }
    void operator()(const LocateStep& each) const { locate(each, recipe(), row); }
    void operator()(const MendStep& each) const {
      mend(each, recipe(), row, pipeline.random_for(row, "reflection"));
    }
    void operator()(const ParseStep& each) const { parse_reply(each, row); }
    void operator()(const WriteStep&) const { pipeline.write(row); }
    void operator()(const VerifyStep& each) const { verify(each, replies(), row); }
    void operator()(const AskStep& each) const {
      if (!run.requests.empty()) take_replies(each, replies(), row);
    }
    void operator()(const JudgeStep& each) const { take_replies(each, replies(), row); }
    void operator()(const CheckStep& each) const { check(each, recipe(), replies(), row); }
    void operator()(const VoteStep& each) const { vote(each, recipe(), row); }
    void operator()(const ChooseStep& each) const { choose(each, recipe(), row); }
    void operator()(const PickStep& each) const {
      pick(each, recipe(), row, pipeline.random_for(row, "pick " + each.into));
    }
    void operator()(const RequireStep& each) const { require(each, recipe(), row); }
    void operator()(const DistinctStep& each) const {
      mark_distinct(each, run.step, recipe(), row);
    }
    void operator()(const LoopStep& each) const { pipeline.end_round(each, run); }
  };
  std::visit(Applier{*this, run, run.row}, step.settings);
}

// Goes back to the loop's first step, or on behind the loop.
void Pipeline::end_round(const LoopStep& step, RowRun& run) const {
  const std::int64_t done = ++run.rounds[run.step];
  const bool reached = !step.until.field.empty() && RowFields(recipe_, run.row).holds(step.until);
  if (!reached && done < step.rounds) {
    run.step = step.begin - 1;  // the caller goes on to the next one
    return;
  }
  run.row.lineage["rounds"] = done;
  run.rounds.erase(run.step);
  if (!reached && !step.until.field.empty() && step.otherwise == "reject") {
    run.row.reject("rounds_used_up", fmt::format("{} rounds", done));
  }
}

void Pipeline::corrupt(TraceRow& row) const {
  const SourceTask& task = *row.task;
  if (!task.program) return row.reject("not_executable");
  InjectedTrace trace =
      inject(*inject_, *task.family, *task.program, random_for(row, "inject"), row.redrawn);
  row.response = std::move(trace.text);
  row.spans = std::move(trace.spans);
  for (const InjectedError& error : trace.errors) {
    row.errors.push_back({error.round, std::string(name_of(error.kind)), Proof::kExecuted,
                          error.step, error.noticed_after, error.place});
  }
}

// A program is written as it runs, a solution or the problem's own steps as they stand.
void Pipeline::write(TraceRow& row) const {
  const SourceTask& task = *row.task;
  if (!task.program) return write_plain(row);
  CorruptStep without_mistakes;
  without_mistakes.q = 0;
  InjectedTrace trace = inject(InjectPlan(without_mistakes), *task.family, *task.program,
                               random_for(row, "inject"), row.redrawn);
  row.response = std::move(trace.text);
  row.spans = std::move(trace.spans);
}

// Keyed by the problem's place in its source, who wrote the solution and which attempt it is.
Random Pipeline::random_for(const TraceRow& row, std::string_view purpose) const {
  const std::uint64_t solution = content_hash64(row.solution.source);
  if (row.attempt == 0) return Random(seed_, purpose, {row.task->place, solution});
  return Random(seed_, purpose, {row.task->place, solution, row.attempt});
}

}  // namespace reflect
