// Weights held as oneDNN's matrix product reads them, for models that only run forward passes.
#pragma once

#include <memory>
#include <string>

#include "reflect/model/weights.h"

namespace reflect {

// Whether such weights help with this type and device.
bool can_pack_weights(const Runtime& runtime);

// All weights of the checkpoint in `folder`, whole. Projections and an output matrix of its own are
// opaque tensors that `dense` takes, and DoRA; the embedding is not.
std::shared_ptr<WeightSource> load_packed_weights(const std::string& folder,
                                                  const LlamaConfig& config,
                                                  const Runtime& runtime);

// The same tensors from a source that does not hold them for long, packed each time: products have
// the same bits then, wherever the weights lie. `tied`: its output matrix is the embedding. Memory
// above the source's is one block and an output matrix.
std::shared_ptr<WeightSource> packed_as_asked(std::shared_ptr<WeightSource> source, bool tied);

}  // namespace reflect
