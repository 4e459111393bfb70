// Loading a model's weights as its configuration wants them held.
#pragma once

#include <memory>
#include <string>

#include "reflect/model/base_config.h"
#include "reflect/model/weights.h"

namespace reflect {

// The weights of the checkpoint in `folder`. Embedding, norms and output matrix are always in the
// runtime's dtype. Quantising reads one tensor at a time: beyond what is kept, memory holds less
// than two decoder blocks.
std::shared_ptr<WeightSource> load_weights(const std::string& folder, const LlamaConfig& config,
                                           const Runtime& runtime, const BaseConfig& base = {});

}  // namespace reflect
