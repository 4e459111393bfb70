// Where problems come from, with what is known about them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_set>

#include "recipes/rows_file.h"
#include "recipes/task.h"
#include "reflect/data/shard.h"
#include "reflect/recipes/synthesize.h"

namespace reflect {

// How much of a source was read, and a hash of it.
struct SourceMark {
  std::uint64_t items = 0;
  std::uint64_t hash = 0;
  friend bool operator==(const SourceMark&, const SourceMark&) = default;
};

class TaskSource {
 public:
  virtual ~TaskSource() = default;
  virtual std::optional<SourceTask> next() = 0;
  // Behind the problem that was read last.
  virtual SourceMark mark() const = 0;
  // Reads over what stands before the mark, much faster than next() does; of a source that was not
  // read yet. False where something else stands there: the source is not to be used then.
  virtual bool skip_to(const SourceMark& mark) = 0;
  // What skip_to() of a later run has to know is kept in this folder from now on; sync() puts it on
  // the disk for all that stands before the mark, discard() is for an end that no run goes on from.
  virtual void keep_in(const std::string&) {}
  virtual void sync(const SourceMark&) {}
  virtual void discard() {}
  // How many there are in all; 0: not known.
  virtual std::int64_t problems() const { return 0; }
};

// Generated problems with their programs. A problem that came before is refused, so the hashes of
// all are kept (8 bytes each): skip_to() makes them once more only where that file is missing.
class ProceduralSource : public TaskSource {
 public:
  // `count` problems.
  ProceduralSource(const ProceduralConfig& config, std::uint64_t seed, std::int64_t count);
  std::optional<SourceTask> next() override;
  SourceMark mark() const override { return {place_, 0}; }
  bool skip_to(const SourceMark& mark) override;
  void keep_in(const std::string& folder) override { kept_at_ = folder + "/problems.seen"; }
  void sync(const SourceMark& mark) override;
  void discard() override;
  std::int64_t problems() const override { return static_cast<std::int64_t>(count_); }

 private:
  // Whether it has not come before.
  bool remember(std::uint64_t hash);
  bool read_kept(std::uint64_t items);

  ProblemGenerator generator_;
  std::size_t count_;
  std::size_t place_ = 0;
  std::unordered_set<std::uint64_t> seen_;  // hashes of prompts
  std::string kept_at_;                     // empty: nothing is kept
  std::optional<GrowingFile> kept_;
  std::uint64_t kept_items_ = 0;
  std::vector<std::uint64_t> to_keep_;  // of the problems behind those
};

// Problems of a JSON Lines file with the solutions recorded there. A malformed row is refused, and
// so is one of the part that was not asked for.
class FileSource : public TaskSource {
 public:
  FileSource(const std::string& path, const SplitConfig& split) : lines_(path), split_(split) {}
  std::optional<SourceTask> next() override;
  SourceMark mark() const override { return mark_; }
  bool skip_to(const SourceMark& mark) override;
  // Reads a file once more, to count; what comes by a pipe cannot be read twice.
  std::int64_t problems() const override;

 private:
  std::optional<std::string_view> next_line();

  LineReader lines_;
  SplitConfig split_;
  SourceMark mark_;  // lines
};

// The problems of one part of a source, by a hash of their text: equal problems are in one part,
// and problems keep their places.
class ShardSource : public TaskSource {
 public:
  ShardSource(std::unique_ptr<TaskSource> source, const Shard& shard)
      : source_(std::move(source)), shard_(shard) {}
  std::optional<SourceTask> next() override;
  SourceMark mark() const override { return source_->mark(); }
  bool skip_to(const SourceMark& mark) override { return source_->skip_to(mark); }
  void keep_in(const std::string& folder) override { source_->keep_in(folder); }
  void sync(const SourceMark& mark) override { source_->sync(mark); }
  void discard() override { source_->discard(); }

 private:
  std::unique_ptr<TaskSource> source_;
  Shard shard_;
};

// Whether a run's problems are generated instead of read, and how many.
bool generates(const SynthesizeConfig& config);
std::int64_t generated_problems(const SynthesizeConfig& config);
// That the problems are used up, and what gives more.
std::string words_for_end(const SynthesizeConfig& config);

// The problem of one row and its solutions, in the form of
//  - GSM8K's recorded solutions {question, ground_truth, NAME: {solution, is_correct}, ...},
//  - BIG-Bench Mistake {input, steps, answer, target, mistake_index},
//  - any row that record_of reads; its response is the one recorded solution.
// Throws Error that names the field; `where` ("file:line") starts its text.
SourceTask task_of(const Json& row, const std::string& where);

// Whether a problem belongs to the training part: by a hash of its text without regard to white
// space, so that every file that holds the problem agrees.
bool in_training_part(std::string_view prompt, double fraction);

}  // namespace reflect
