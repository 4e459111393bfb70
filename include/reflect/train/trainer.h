// The training loop: packs of rows to losses, gradients, updates, measurements and checkpoints.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "reflect/metrics/metrics_log.h"
#include "reflect/metrics/progress.h"
#include "reflect/train/checkpoint.h"
#include "reflect/train/optimizer.h"
#include "reflect/train/pack_inputs.h"
#include "reflect/train/pack_plan.h"
#include "reflect/train/preference.h"
#include "reflect/train/schedule.h"
#include "reflect/train/tuned_model.h"

namespace reflect {

struct TrainerConfig {
  std::string output;
  RunLength length;
  std::int64_t packs_per_step = 1;
  OptimizerConfig optimizer;
  ScheduleConfig schedule;
  std::optional<PreferenceConfig> preference;  // rows are pairs
  double clip = 1;
  std::int64_t max_skipped_steps = 5;
  std::int64_t save_every = 0;
  std::int64_t keep_checkpoints = 2;
  std::uint64_t seed = 0;
  bool quiet = false;
  nlohmann::ordered_json identity;  // what a checkpoint must agree on to be resumed
};

// What a step's losses are divided by, over all its packs.
struct StepTotals {
  double weight = 0;  // of trained tokens
  PreferenceTotals preference;
};

// Sums over pairs of rows.
struct PreferenceSums {
  double loss = 0;  // of the step: divided by its totals
  double chosen_reward = 0, rejected_reward = 0;
  std::int64_t pairs = 0, right = 0;  // right: the chosen response has the larger reward
  void add(const PreferenceLoss& loss);
};

// Sums over trained tokens, by span type.
struct LossSums {
  double weighted = 0;  // sum of weight * nll
  double weight = 0;
  std::array<double, 7> nll = {};           // by SpanType; last: end of turn and earlier turns
  std::array<std::int64_t, 7> tokens = {};  // likewise
  void add(const PackInputs& inputs, const at::Tensor& nll_of_target);
  PreferenceSums preference;  // where rows are pairs
  double mean() const { return preference.pairs > 0 ? preference.loss : weighted / weight; }
  std::int64_t trained_tokens() const;
};

// One optimizer step as it went.
struct StepReport {
  LossSums loss;
  double learning_rate = 0;
  double gradient_norm = 0;  // before clipping
  std::int64_t tokens = 0;
  bool skipped = false;  // loss or gradient not finite: nothing was updated
};

class Trainer {
 public:
  // `examples` must outlive the trainer.
  Trainer(TrainerConfig config, TunedModel& model, const std::vector<Example>& examples,
          PackStream packs);

  // Goes on from the newest checkpoint, if there is one; tells whether.
  bool resume();
  // Steps until the run's length is reached or a signal arrives; the signal's number, else 0.
  int run();
  // The same for at most `count` steps.
  int run_steps(std::int64_t count);

  // One update from the given packs; gradients are of sum(w * nll) / sum(w) over all of them.
  StepReport train_step(std::span<const Batch> packs);
  void save();

  const TrainState& state() const { return state_; }

 private:
  std::vector<Batch> next_packs();
  void forward_backward(const PackInputs& inputs, std::size_t index, const StepTotals& totals,
                        LossSums& sums);
  at::Tensor preference_step(const PackInputs& inputs, const ForwardOptions& options,
                             const StepTotals& totals, LossSums& sums);
  void note_skipped(const StepReport& report, const std::vector<Batch>& packs);
  void log(const StepReport& report, double seconds);

  TrainerConfig config_;
  TunedModel& model_;
  const std::vector<Example>& examples_;
  PackStream packs_;
  AdamW optimizer_;
  CheckpointStore checkpoints_;
  TrainState state_;
  std::optional<MetricsLog> metrics_;
  std::optional<Progress> progress_;
  std::int64_t tokens_at_start_ = 0;
};

}  // namespace reflect
