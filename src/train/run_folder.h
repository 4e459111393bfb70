// The files of a run besides checkpoints and metrics: config.yaml, run.json and the result.
#pragma once

#include <span>
#include <string>

#include "reflect/data/tag_tokens.h"
#include "reflect/dist/process_group.h"
#include "reflect/train/checkpoint.h"
#include "reflect/train/train.h"
#include "reflect/train/tuned_model.h"

namespace reflect {

// The configuration with every "auto" replaced by what it came to.
TrainConfig resolved(const TrainConfig& config, const TrainingData& data, const Runtime& runtime);

// What two runs must share for one to go on from the other's checkpoint: every (resolved) setting
// that the result depends on, and the contents of rows and model rather than their paths. Held-out
// rows belong to it, if there are any: the best checkpoints are told by them.
Json identity_of(TrainConfig config, const TrainingData& data, const TrainingData& heldout);

// What run.json says of rows.
struct RunRows {
  const TrainingData& trained;
  const TrainingData& heldout;  // empty: none
};

// Rank 0 of `group` writes, and reads for all.
class RunFolder {
 public:
  // `config` resolved.
  RunFolder(TrainConfig config, const RunRows& rows, Json identity, ProcessGroup group);

  // Whether the result of this very run is there already; Error when another run's is.
  bool finished();
  // Writes config.yaml and run.json.
  void begin(TunedModel& model);
  // Writes adapter/ or model/, with the tag tokens that it was trained with, then marks run.json as
  // finished.
  void finish(const TunedModel& model, std::span<const TagToken> tags, const TrainState& state,
              at::ScalarType dtype);

 private:
  bool holds_finished_run() const;
  Json parsed_record() const;
  std::string product_folder() const;  // the adapter or the model
  void write_record() const;

  TrainConfig config_;
  std::string record_path_;
  Json record_;  // run.json
  ProcessGroup group_;
};

}  // namespace reflect
