// Loading a model's weights as its configuration wants them held.
#pragma once

#include <memory>
#include <string>

#include "reflect/dist/process_group.h"
#include "reflect/model/base_config.h"
#include "reflect/model/weights.h"

namespace reflect {

// Where a base lies among the processes of a job.
struct Placement {
  PlacementConfig config = {};
  ProcessGroup group = {};  // all processes
};

// The weights of the checkpoint in `folder`. Embedding, norms and output matrix are always in the
// runtime's dtype. Loading reads one tensor at a time: beyond what is kept, memory holds less than
// two decoder blocks.
//
// shard, hybrid: each rank of a group holds 1 / size of every block, of the embedding and of the
// output matrix, and gathers them one ahead of their use into one of two buffers. All ranks must
// make the same passes, and recompute blocks in backward passes. A collective.
//
// offload: nothing but two such buffers is kept in --dtype. On a CPU each block is read from the
// mapped checkpoint when it is used; codes of base.storage stay in memory. On a GPU weights or
// codes stay in pinned host memory and are copied one block ahead.
std::shared_ptr<WeightSource> load_weights(const std::string& folder, const LlamaConfig& config,
                                           const Runtime& runtime, const BaseConfig& base = {},
                                           const Placement& placement = {});

}  // namespace reflect
