// Checkpoints of a run: folders that exist only when they are complete.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "reflect/train/pack_plan.h"

namespace reflect {

// Everything about a run's place that is not in a tensor.
struct TrainState {
  std::int64_t step = 0;  // steps done
  DataPosition position;
  std::int64_t tokens = 0;
  std::int64_t trained_tokens = 0;
  std::int64_t skipped_steps = 0;  // not applied: a non-finite loss or gradient
  std::int64_t skipped_in_a_row = 0;
};

nlohmann::ordered_json json_of(const TrainState& state);
TrainState train_state_of(const nlohmann::ordered_json& json);

// Calls `write` with a temporary folder beside `path`, then renames that to `path`, replacing what
// stood there. When `write` throws, the temporary folder is removed and `path` stays as it was.
void write_folder_atomic(const std::string& path,
                         const std::function<void(const std::string& folder)>& write);

// The checkpoints "step-<n>" in a folder. One is complete when its state.json, written last,
// exists.
class CheckpointStore {
 public:
  // How many stay: the newest, and of those with a held-out loss the lowest.
  struct Keep {
    std::int64_t newest = 2, best = 0;
  };
  CheckpointStore(std::string folder, Keep keep);
  std::optional<std::string> newest() const;
  // The checkpoint with the lowest held-out loss, of equal ones the first.
  std::optional<std::string> best() const;
  // Whether a checkpoint with this held-out loss would stay as one of the best.
  bool is_among_best(double heldout_loss) const;
  // `write` puts the tensors into the folder that it is given; `state` becomes its state.json. Its
  // number "heldout_loss", if any, is what the best are told by.
  void save(std::int64_t step, const nlohmann::ordered_json& state,
            const std::function<void(const std::string& folder)>& write);

 private:
  std::vector<std::int64_t> steps() const;  // of complete checkpoints, sorted
  std::string path_of(std::int64_t step) const;
  // Held-out loss and step of complete checkpoints that have one, the lowest first.
  std::vector<std::pair<double, std::int64_t>> by_loss() const;
  void remove_others() const;

  std::string folder_;
  Keep keep_;
};

// Throws Error that names the first setting in which a run differs from the checkpoint that it is
// to go on from. Both are flat objects: setting to value.
void require_same_run(const nlohmann::ordered_json& saved, const nlohmann::ordered_json& now,
                      const std::string& checkpoint);

}  // namespace reflect
