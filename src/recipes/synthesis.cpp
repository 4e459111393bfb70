#include "recipes/synthesis.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "recipes/ask.h"
#include "recipes/manifest.h"
#include "reflect/base/log.h"
#include "reflect/base/signals.h"

namespace reflect {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::string_view kBudget = "budget_ended";

// The share of right solutions among wrong ones that a recipe asks for.
double clean_share(const Recipe& recipe) {
  for (const RecipeStep& step : recipe.steps) {
    if (const auto* draw = std::get_if<DrawStep>(&step.settings)) return draw->clean_fraction;
  }
  return 0;
}

TraceRow refused_row(std::shared_ptr<const SourceTask> task) {
  TraceRow row;
  row.task = std::move(task);
  row.end(row.task->not_meant ? Fate::kNotUsed : Fate::kRejected, row.task->refused,
          row.task->problem.other.value("detail", ""));
  return row;
}

// Between two checkpoints lie at least so many finished problems and so much time. Where a teacher
// answers in groups a run stops starting problems now and then until all are finished: only from
// there can it go on with the same groups.
constexpr std::int64_t kProblemsOfCheckpoint = 20;
constexpr std::chrono::milliseconds kTimeOfCheckpoint{500};
constexpr std::int64_t kProblemsOfDrain = 8192;

std::string run_folder(const std::string& output) {
  return path_beside(output, ".run");
}

std::string store_path(const std::string& output) {
  if (output.empty() || output == "-") return ":memory:";
  make_folder(run_folder(output));
  return run_folder(output) + "/replies.sqlite";
}

}  // namespace

Synthesis::Synthesis(const SynthesizeConfig& config, const Recipe& recipe,
                     const TeacherTable& teachers, TeacherJob& job)
    : config_(config),
      recipe_(recipe),
      pipeline_(recipe, static_cast<std::uint64_t>(config.runtime.seed), teachers),
      format_(output_format_named(config.format)),
      clean_share_(clean_share(recipe)),
      start_(Clock::now()) {
  if (!pipeline_.asks()) return;
  store_.emplace(store_path(config.output));
  asker_.emplace(teachers, job, *store_, config.budget);
  const bool has_folder = !config.output.empty() && config.output != "-";
  resumable_ = has_folder && config.input != "-";
  in_groups_ = std::ranges::any_of(teachers.configs(),
                                   [](const TeacherConfig& each) { return each.kind == "local"; });
  if (store_->totals().replies != 0) {
    log_info("{} replies of earlier runs are in the run store", store_->totals().replies);
  }
  tokens_before_ = store_->totals().tokens();
}

ExitCode Synthesis::run(const std::function<std::unique_ptr<TaskSource>()>& open) {
  std::unique_ptr<TaskSource> source = resumable_ ? restored(open) : nullptr;
  if (!source) {
    source = open();
    if (resumable_) {
      store_->set_checkpoint("");  // before what it speaks of is cut off
      open_files(RunCheckpoint());
      source->keep_in(run_folder(config_.output));
    } else {
      output_.emplace(config_.output, format_, RunLineage(recipe_, config_));
      distinct_.emplace(recipe_);
    }
  }
  source_ = source.get();
  return go_on(*source, 0) ? conclude() : ExitCode::kIncomplete;
}

// The source behind what an earlier run has finished, whose state is taken over; nothing where
// there is no checkpoint of this command and this input.
std::unique_ptr<TaskSource> Synthesis::restored(
    const std::function<std::unique_ptr<TaskSource>()>& open) {
  checkpoint_.command = command_hash(config_, recipe_, asker_->identities());
  const std::optional<RunCheckpoint> found = read_checkpoint(store_->checkpoint());
  if (!found || found->command != checkpoint_.command) return nullptr;
  if (config_.accept != 0 && found->counts.accepted >= config_.accept) return nullptr;
  std::unique_ptr<TaskSource> source = open();
  source->keep_in(run_folder(config_.output));
  if (!source->skip_to(found->source) || !go_on_from(*found)) return nullptr;
  return source;
}

// Files that grow over several runs, behind what the checkpoint speaks of.
void Synthesis::open_files(const RunCheckpoint& checkpoint) {
  const std::string folder = run_folder(config_.output);
  output_.emplace(config_.output, format_, RunLineage(recipe_, config_), folder, checkpoint.output);
  distinct_.emplace(recipe_, folder + "/distinct.part", checkpoint.distinct);
}

bool Synthesis::go_on_from(const RunCheckpoint& checkpoint) {
  try {
    open_files(checkpoint);
  } catch (const Error& error) {
    log_warn("{}; the run starts from its stored replies", error.what());
    return false;
  }
  checkpoint_ = checkpoint;
  started_ = checkpoint.counts.problems;
  clean_ = checkpoint.clean;
  counts_ = checkpoint.counts;
  used_ = checkpoint.used;
  log_info("{} problems are finished; the run goes on behind them", counts_.problems);
  return true;
}

// Rows that still lack a reply are asked for again by the next run: no checkpoint is behind them.
void Synthesis::save_checkpoint() {
  const bool possible = resumable_ && output_ && not_answered_ == 0 && !enough();
  if (!possible || finished_since_ < kProblemsOfCheckpoint) return;
  const auto now = std::chrono::steady_clock::now();
  const bool wanted = in_groups_ ? tasks_.empty() && started_ % kProblemsOfDrain == 0
                                 : now - last_checkpoint_ >= kTimeOfCheckpoint;
  if (!wanted) return;
  finished_since_ = 0;
  last_checkpoint_ = now;
  checkpoint_.output = output_->sync();
  checkpoint_.distinct = distinct_->sync();
  source_->sync(checkpoint_.source);
  checkpoint_.clean = clean_;
  checkpoint_.counts = counts_;
  store_->set_checkpoint(text_of(checkpoint_));
}

void Synthesis::pilot(TaskSource& source, std::int64_t problems) {
  distinct_.emplace(recipe_);
  go_on(source, problems);
  show_progress(true);
}

bool Synthesis::go_on(TaskSource& source, std::int64_t problems) {
  problems_ = problems != 0 ? problems : source.problems();
  const bool by_problems = config_.accept == 0 && problems_ != 0;
  progress_.emplace("traces", by_problems ? "problems" : "traces",
                    by_problems ? problems_ : config_.accept, config_.runtime.quiet);
  while (!enough()) {
    if (signal_received() != 0) return false;
    start_tasks(source, problems);
    finish_tasks();
    show_progress(false);
    if (tasks_.empty() && source_ended_) break;
    if (!asker_ || asker_->open_questions() == 0) continue;
    std::vector<AnsweredQuestion> answers = poll();
    if (answers.empty() && asker_->budget_ended()) break;
    deliver(std::move(answers));
  }
  if (!enough()) finish_tasks();
  return signal_received() == 0;
}

// A signal may end a teacher's work with an Error; what was under way is asked again another time.
std::vector<AnsweredQuestion> Synthesis::poll() {
  try {
    return asker_->poll();
  } catch (const Error&) {
    if (signal_received() == 0) throw;
    return {};
  }
}

// Problems under way at once: enough to keep the teachers busy, and not many more than the rows
// that are still wanted need.
std::size_t Synthesis::window() const {
  if (!asker_) return 1;
  const std::size_t widest = std::max<std::size_t>(16, 2 * asker_->capacity());
  if (config_.accept == 0) return widest;
  const double yield =
      static_cast<double>(counts_.accepted + 1) / static_cast<double>(counts_.problems + 1);
  const double needed =
      std::ceil(1.2 * static_cast<double>(config_.accept - counts_.accepted) / yield);
  return std::min(widest, static_cast<std::size_t>(std::max(needed, 1.0)));
}

void Synthesis::start_tasks(TaskSource& source, std::int64_t problems) {
  while (!source_ended_ && tasks_.size() < window()) {
    if (in_groups_ && started_ % kProblemsOfDrain == 0 && !tasks_.empty()) return;
    std::optional<SourceTask> task;
    if (problems == 0 || started_ < problems) task = source.next();
    if (!task) {
      source_ended_ = true;
      return;
    }
    ++started_;
    OpenTask& open = tasks_.emplace_back();
    open.number = first_task_ + tasks_.size() - 1;
    open.mark = source.mark();
    open.task = std::make_shared<const SourceTask>(std::move(*task));
    if (open.task->refused.empty()) {
      start_attempt(open);
    } else {
      open.ended.push_back(refused_row(open.task));
    }
  }
}

void Synthesis::start_attempt(OpenTask& task) {
  do {
    task.rows.push_back(pipeline_.start(task.task, task.attempt));
    task.rows.back().task = task.number;
    take_on(task, task.rows.begin());
  } while (task.waiting == 0 && try_again(task));
}

// The row goes on as far as it can; what it or its parts ask goes to the teachers.
void Synthesis::take_on(OpenTask& task, RowRuns::iterator row) {
  for (RowRun* waiting : pipeline_.advance(task.rows, row)) {
    ++task.waiting;
    const std::string step(recipe_.steps[waiting->step].kind());
    for (std::size_t i = 0; i < waiting->requests.size(); ++i) {
      asker_->ask({waiting, i, waiting->teacher, waiting->requests[i],
                   fmt::format("{}:{}", waiting->step, step), task.task->problem.id});
    }
  }
}

void Synthesis::deliver(std::vector<AnsweredQuestion> answers) {
  for (AnsweredQuestion& answer : answers) {
    RowRun& run = *answer.row;
    OpenTask& task = tasks_.at(run.task - first_task_);
    task.used.add(answer);
    used_.add(answer);
    run.replies[answer.index] = std::move(answer.reply);
    if (--run.missing != 0) continue;
    --task.waiting;
    const auto row = std::ranges::find(task.rows, &run, [](const RowRun& each) { return &each; });
    take_on(task, row);
    if (task.waiting == 0 && try_again(task)) start_attempt(task);
  }
}

// Whether all rows of the problem were rejected and it may be attempted once more.
bool Synthesis::try_again(OpenTask& task) {
  const bool failed = std::ranges::all_of(
      task.rows, [](const RowRun& run) { return run.row.fate == Fate::kRejected; });
  if (!asker_ || !failed || static_cast<std::int64_t>(task.attempt) + 1 >= config_.attempts)
    return false;
  for (RowRun& run : task.rows) task.ended.push_back(std::move(run.row));
  task.rows.clear();
  ++task.attempt;
  return true;
}

// Writes the problems at the front that have ended; at the end of the budget all, with what is
// missing.
void Synthesis::finish_tasks() {
  const bool budget_ended = asker_ && asker_->budget_ended();
  std::vector<TraceRow> finished;
  while (!tasks_.empty() && (tasks_.front().waiting == 0 || budget_ended) && !enough()) {
    OpenTask& task = tasks_.front();
    ++counts_.problems;
    for (RowRun& run : task.rows) {
      if (run.row.fate == Fate::kUnderWay) run.row.end(Fate::kNotUsed, std::string(kBudget));
      task.ended.push_back(std::move(run.row));
    }
    for (TraceRow& row : task.ended) {
      finish(row);
      finished.push_back(std::move(row));
    }
    checkpoint_.source = task.mark;
    checkpoint_.used.add(task.used);
    ++finished_since_;
    tasks_.pop_front();
    ++first_task_;
  }
  if (!store_) return;
  store_->add_verdicts(finished);
  save_checkpoint();
}

void Synthesis::finish(TraceRow& row) {
  if (row.fate == Fate::kAccepted) fit_to(format_, row);
  if (row.fate == Fate::kAccepted && enough()) row.end(Fate::kNotUsed, "enough_rows");
  if (row.fate == Fate::kAccepted && row.right_at_once && !clean_wanted()) {
    row.end(Fate::kNotUsed, "enough_clean_rows");
  }
  distinct_->judge(row);
  if (output_) output_->write(row);
  if (row.fate == Fate::kAccepted && row.right_at_once) ++clean_;
  if (row.reason == kNotAnswered || row.reason == kBudget) ++not_answered_;
  counts_.add(row);
}

bool Synthesis::clean_wanted() const {
  return static_cast<double>(clean_ + 1) <=
         clean_share_ * static_cast<double>(counts_.accepted + 1);
}

// Towards the rows that are wanted, else through the problems, where their number is known.
void Synthesis::show_progress(bool last) {
  const auto now = Clock::now();
  if (!last && now - shown_ < std::chrono::milliseconds(100)) return;
  shown_ = now;
  const bool by_problems = config_.accept == 0 && problems_ != 0;
  std::string text = by_problems ? fmt::format("{} accepted, ", counts_.accepted) : "";
  text += fmt::format("{} rejected", counts_.all_rejected());
  if (asker_) {
    const double seconds = std::chrono::duration<double>(now - start_).count();
    const auto tokens = static_cast<double>(store_->totals().tokens() - tokens_before_);
    text += fmt::format(", {} in flight, {:.0f} tokens/s", asker_->in_flight(),
                        seconds > 0 ? tokens / seconds : 0);
    if (used_.usd != 0) text += fmt::format(", ${:.2f}", used_.usd);
  }
  progress_->update(by_problems ? counts_.problems : counts_.accepted, text);
  if (last) progress_->finish(text);
}

ExitCode Synthesis::conclude() {
  counts_.check_sum();
  if (counts_.rows == 0)
    log_warn("{} problems gave no row{}", counts_.problems,
             config_.teacher.kind == "replay"
                 ? ": none brings a recorded solution; name who answers with --teacher.kind"
                 : "");
  show_progress(true);
  const bool budget_ended = asker_ && asker_->budget_ended();
  const bool final = enough() || (not_answered_ == 0 && !budget_ended);
  const Json manifest =
      manifest_of({config_, recipe_, output_->run(), counts_, asker_ ? &used_ : nullptr});
  output_->commit(manifest, data_card(manifest), final);
  if (resumable_ && final) store_->set_checkpoint("");
  if (final) distinct_->discard();
  if (final) source_->discard();
  fmt::print(config_.output == "-" ? stderr : stdout, "{}{}{}", table_of(counts_),
             recipe_.error_profile ? table_of(counts_.errors, *recipe_.error_profile) : "",
             asker_ ? table_of(used_, asker_->oddities()) : "");
  if (enough() || (config_.accept == 0 && not_answered_ == 0 && !budget_ended)) {
    return ExitCode::kDone;
  }
  const std::string rows = config_.accept == 0
                               ? fmt::format("{} rows", counts_.accepted)
                               : fmt::format("{} of {} rows", counts_.accepted, config_.accept);
  if (budget_ended) {
    const StoreTotals& spent = store_->totals();
    log_warn(
        "{}: the budget ended after {} tokens and {:.4f} US dollars, {} rows are open; "
        "with a greater budget the same command goes on",
        rows, spent.tokens(), spent.usd, not_answered_);
  } else if (not_answered_ != 0) {
    log_warn("{}: {} rows have no reply yet; the same command asks for them again", rows,
             not_answered_);
  } else {
    log_warn("{}: {}", rows, words_for_end(config_));
  }
  return ExitCode::kIncomplete;
}

}  // namespace reflect
