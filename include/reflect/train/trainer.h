// The training loop: packs of rows to losses, gradients, updates, measurements and checkpoints.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "reflect/dist/process_group.h"
#include "reflect/metrics/event_log.h"
#include "reflect/metrics/metrics_log.h"
#include "reflect/metrics/progress.h"
#include "reflect/train/background_save.h"
#include "reflect/train/checkpoint.h"
#include "reflect/train/heldout_problems.h"
#include "reflect/train/loss_sums.h"
#include "reflect/train/optimizer.h"
#include "reflect/train/pack_inputs.h"
#include "reflect/train/pack_plan.h"
#include "reflect/train/schedule.h"
#include "reflect/train/tuned_model.h"

namespace reflect {

struct TrainerConfig {
  std::string output;
  RunLength length;
  std::int64_t packs_per_step = 1;  // over all ranks
  OptimizerConfig optimizer;
  ScheduleConfig schedule;
  std::optional<PreferenceConfig> preference;  // rows are pairs
  double clip = 1;
  std::int64_t max_skipped_steps = 5;
  std::int64_t save_every = 0;
  double save_seconds = 0;  // the same by time since the last one; 0: not by time
  bool save_behind = true;  // copies the state and writes it while training goes on
  std::int64_t keep_checkpoints = 2;
  std::int64_t keep_best = 0;      // more of them: those with the lowest held-out loss
  std::int64_t heldout_every = 0;  // steps between measurements; 0: at the start and the end
  std::uint64_t seed = 0;
  double peak_flops = 0;  // FLOP/s of all ranks; 0: not known, and no MFU is told
  bool quiet = false;
  nlohmann::ordered_json identity;  // what a checkpoint must agree on to be resumed
};

// Rows that are measured on the way and never trained on.
struct HeldoutSet {
  TokenizedCorpus examples;
  std::vector<Batch> packs;
};

// What the losses of some packs are divided by, over all of them.
struct StepTotals {
  double weight = 0;  // of trained tokens
  PreferenceTotals preference;
};

// One optimizer step as it went.
struct StepReport {
  LossSums loss;
  double learning_rate = 0;
  double gradient_norm = 0;  // before clipping
  std::int64_t tokens = 0;
  double flops = 0;      // of the model, as MFU counts them
  bool skipped = false;  // loss or gradient not finite: nothing was updated
};

// Trains with all ranks of `group`: each takes a share of every step's packs, gradients are summed
// once a step, and all make the same update. Ranks that hold slices of the model take the same
// packs. A run means the same at any number of ranks. Rank 0 logs, writes checkpoints and reads
// them for all.
class Trainer {
 public:
  // `examples` are the same on every rank.
  Trainer(TrainerConfig config, TunedModel& model, TokenizedCorpus examples, PackStream packs,
          ProcessGroup group = {});

  // To be measured by run: before the first step, every heldout_every steps and after the last.
  void set_heldout(HeldoutSet heldout) { heldout_ = std::move(heldout); }
  // The same, with or without rows: what all ranks call, and what is solved on rank 0.
  void set_problems(std::function<std::optional<SolvedProblems>()> solve) {
    solve_ = std::move(solve);
  }

  // Goes on from the newest checkpoint, if there is one; tells whether.
  bool resume();
  // Steps until the run's length is reached or a signal arrives on any rank; the signal's number,
  // else 0.
  int run();
  // The same for at most `count` steps.
  int run_steps(std::int64_t count);

  // One update from the given packs; gradients are of sum(w * nll) / sum(w) over all of them.
  StepReport train_step(std::span<const Batch> packs);
  // Losses of the held-out rows as the model is now; nothing changes.
  LossSums heldout_loss();
  // Writes a checkpoint; it is there when this returns.
  void save();

  const TrainState& state() const { return state_; }

 private:
  // A pack that this rank computes, and its place among those of the step.
  struct Share {
    std::size_t index;
    PackInputs inputs;
  };

  // Ranks that compute each pack together; whether this one adds their sums to those of all ranks.
  int ranks_of_pack() const { return model_.llama().weights().tensor_group().size(); }
  bool counts() const { return group_.rank() % ranks_of_pack() == 0; }
  std::string load_newest();  // the state as JSON; empty: no checkpoint
  std::vector<Batch> next_packs();
  std::vector<Share> share_of(std::span<const Batch> packs, const TokenizedCorpus& examples) const;
  StepTotals totals_of(const std::vector<Share>& share);
  void forward_backward(const Share& share, const StepTotals& totals, LossSums& sums);
  at::Tensor preference_step(const PackInputs& inputs, const ForwardOptions& options,
                             const StepTotals& totals, LossSums& sums);
  void note_skipped(const StepReport& report, const std::vector<Batch>& packs);
  bool heldout_due() const;
  bool is_among_best();  // the held-out loss just measured
  void measure_heldout();
  void measure_heldout_loss();
  void add_heldout(nlohmann::ordered_json& line);
  bool wants_save();
  void begin_save();
  std::vector<at::Tensor> copied(const std::vector<at::Tensor>& tensors);
  void report_saves() const;
  double seconds_left() const;
  nlohmann::ordered_json line_of(const StepReport& report, double seconds) const;
  void log(nlohmann::ordered_json line);

  TrainerConfig config_;
  TunedModel& model_;
  TokenizedCorpus examples_;
  PackStream packs_;
  ProcessGroup group_;
  AdamW optimizer_;
  CheckpointStore checkpoints_;
  std::vector<at::Tensor> saved_;  // copies of what is being saved
  TrainState state_;
  std::optional<HeldoutSet> heldout_;
  std::optional<LossSums> heldout_sums_;  // of the step just made
  std::optional<double> last_heldout_;
  std::function<std::optional<SolvedProblems>()> solve_;
  std::optional<SolvedProblems> solved_;  // after the step just made, on rank 0
  std::optional<MetricsLog> metrics_;     // on rank 0
  std::optional<EventLog> events_;        // on rank 0
  std::optional<Progress> progress_;      // on rank 0
  std::int64_t tokens_at_start_ = 0;
  std::chrono::steady_clock::time_point started_, last_save_;
  double save_blocked_ = 0;    // seconds that training waited for saves
  BackgroundSave background_;  // last: its thread reads the members above
};

}  // namespace reflect
