// Loading a model's weights as its configuration wants them held.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "reflect/base/runtime.h"
#include "reflect/dist/launch.h"
#include "reflect/dist/process_group.h"
#include "reflect/model/base_config.h"
#include "reflect/model/weights.h"

namespace reflect {

// Where a base lies among the processes of a job.
struct Placement {
  PlacementConfig config = {};
  ProcessGroup group = {};  // all processes
  // Each rank makes passes of its own, without gradients, instead of the same as all others. Those
  // who hold the base together agree before each pass; one that has none to make takes part in the
  // others' (WeightSource::leave). A signal to one is noted by all.
  bool own_passes = false;
  std::optional<at::Device> device = {};  // of this rank, where it is not the runtime's
  // Consecutive ranks that hold a slice of every projection each and compute together.
  std::int64_t tensor_parallel = 1;

  bool first() const { return group.rank() == 0; }
  // Whether ranks hold the base together.
  bool shared() const;
};

// The placement of a tool whose ranks make passes of their own. Meets the job's other ranks.
// Throws what ProcessGroup throws.
Placement open_placement(const PlacementConfig& config, const LaunchConfig& launch,
                         const RuntimeConfig& runtime);

// The weights of the checkpoint in `folder`. Embedding, norms and output matrix are always in the
// runtime's dtype. Loading reads one tensor at a time: beyond what is kept, memory holds less than
// two decoder blocks.
//
// shard, hybrid: each rank of a group holds 1 / size of every block, of the embedding and of the
// output matrix, and gathers them one ahead of their use into one of two buffers. All ranks must
// make the same passes, and recompute blocks in backward passes. A collective.
//
// tensor_parallel: each rank of a group holds a slice of every projection (tensor_parallel.h), and
// all of the embedding, the norms and the output matrix. With replicate, and not as NF4. A
// collective.
//
// offload: nothing but two such buffers is kept in --dtype. On a CPU each block is read from the
// mapped checkpoint when it is used; codes of base.storage stay in memory. On a GPU weights or
// codes stay in pinned host memory and are copied one block ahead.
std::shared_ptr<WeightSource> load_weights(const std::string& folder, const LlamaConfig& config,
                                           const Runtime& runtime, const BaseConfig& base = {},
                                           const Placement& placement = {});

}  // namespace reflect
