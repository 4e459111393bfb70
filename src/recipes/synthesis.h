// A run of reflect-gen: problems from a source through the recipe, many at a time where models are
// asked, their rows written in the order of the source.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "recipes/asker.h"
#include "recipes/checkpoint.h"
#include "recipes/distinct.h"
#include "recipes/pipeline.h"
#include "recipes/run_report.h"
#include "recipes/run_store.h"
#include "recipes/source.h"
#include "recipes/trace_output.h"
#include "reflect/metrics/progress.h"

namespace reflect {

class Synthesis {
 public:
  // Opens the run store and the teachers where the recipe asks any. All must outlive the run. Of a
  // job's processes the first one makes it.
  Synthesis(const SynthesizeConfig& config, const Recipe& recipe, const TeacherTable& teachers,
            TeacherJob& job);

  // Goes on until the input, the need for rows or the budget ends, and writes all files.
  // kIncomplete when a row that was asked for is missing, or a signal came (nothing is written).
  // Where an earlier run of the command has left a checkpoint it starts there: `open` may be called
  // twice.
  ExitCode run(const std::function<std::unique_ptr<TaskSource>()>& open);

  // The first `problems` of the source, without writing rows.
  void pilot(TaskSource& source, std::int64_t problems);
  const RunCounts& counts() const { return counts_; }
  const UsedReplies& used() const { return used_; }

 private:
  // A problem that has been started, and its rows.
  struct OpenTask {
    std::shared_ptr<const SourceTask> task;
    SourceMark mark;  // behind it
    UsedReplies used;
    std::uint64_t number = 0;  // in the run
    RowRuns rows;
    std::size_t waiting = 0;  // rows that wait for replies
    std::uint64_t attempt = 0;
    std::vector<TraceRow> ended;  // rows of earlier attempts
  };

  bool enough() const { return config_.accept != 0 && counts_.accepted == config_.accept; }
  // Returns false when a signal has ended it.
  bool go_on(TaskSource& source, std::int64_t problems);
  void start_tasks(TaskSource& source, std::int64_t problems);
  std::size_t window() const;
  std::vector<AnsweredQuestion> poll();
  void start_attempt(OpenTask& task);
  void take_on(OpenTask& task, RowRuns::iterator row);
  void deliver(std::vector<AnsweredQuestion> answers);
  bool try_again(OpenTask& task);
  void finish_tasks();
  void finish(TraceRow& row);
  bool clean_wanted() const;
  void show_progress(bool last);
  ExitCode conclude();
  std::unique_ptr<TaskSource> restored(const std::function<std::unique_ptr<TaskSource>()>& open);
  bool go_on_from(const RunCheckpoint& checkpoint);
  void open_files(const RunCheckpoint& checkpoint);
  void save_checkpoint();

  const SynthesizeConfig& config_;
  const Recipe& recipe_;
  Pipeline pipeline_;
  OutputFormat format_;
  double clean_share_;
  std::optional<RunStore> store_;
  std::optional<Asker> asker_;
  std::optional<TraceOutput> output_;
  std::optional<DistinctRows> distinct_;
  std::optional<Progress> progress_;
  TaskSource* source_ = nullptr;  // of the run
  std::chrono::steady_clock::time_point start_, shown_;
  std::int64_t tokens_before_ = 0;  // in the store when this process began
  std::int64_t problems_ = 0;       // of the source; 0: not known
  std::deque<OpenTask> tasks_;      // in the order of the source
  std::uint64_t first_task_ = 0;    // number of tasks_.front()
  std::int64_t started_ = 0;
  bool source_ended_ = false;
  RunCounts counts_;
  std::int64_t clean_ = 0;
  std::int64_t not_answered_ = 0;
  UsedReplies used_;
  bool resumable_ = false;    // checkpoints are made
  bool in_groups_ = false;    // what a teacher writes depends on what it is given together
  RunCheckpoint checkpoint_;  // behind the problems that are finished; counts are filled in last
  std::int64_t finished_since_ = 0;  // problems, the last checkpoint
  std::chrono::steady_clock::time_point last_checkpoint_;
};

}  // namespace reflect
