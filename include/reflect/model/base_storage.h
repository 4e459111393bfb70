// Loading a model's weights as its configuration wants them held.
#pragma once

#include <memory>
#include <string>

#include "reflect/dist/process_group.h"
#include "reflect/model/base_config.h"
#include "reflect/model/weights.h"

namespace reflect {

// The weights of the checkpoint in `folder`, whole. Embedding, norms and output matrix are always
// in the runtime's dtype. Quantising reads one tensor at a time: beyond what is kept, memory holds
// less than two decoder blocks.
std::shared_ptr<WeightSource> load_weights(const std::string& folder, const LlamaConfig& config,
                                           const Runtime& runtime, const BaseConfig& base = {});

// A checkpoint, how it is held, and the ranks that hold it together.
struct ShardedBase {
  std::string folder;
  BaseConfig base = {};
  ProcessGroup group = {};
};

// The same weights in shares: each rank holds 1 / size of every block, of the embedding and of the
// output matrix, and gathers them one ahead of their use into one of two buffers. All ranks must
// make the same passes, and recompute blocks in backward passes. Beyond its share and the buffers a
// rank's memory holds less than two decoder blocks while it loads. A collective: it logs how fast.
std::shared_ptr<WeightSource> load_sharded_weights(const ShardedBase& sharded,
                                                   const LlamaConfig& config,
                                                   const Runtime& runtime);

}  // namespace reflect
