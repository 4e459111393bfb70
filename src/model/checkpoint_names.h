// The only place that knows how Hugging Face checkpoints and PEFT adapters name their tensors.
#pragma once

#include <string>

#include "reflect/model/weights.h"

namespace reflect::checkpoint_names {

inline constexpr const char* kEmbedding = "model.embed_tokens.weight";
inline constexpr const char* kFinalNorm = "model.norm.weight";
inline constexpr const char* kLmHead = "lm_head.weight";

std::string input_norm(std::int64_t layer);
std::string post_attention_norm(std::int64_t layer);
std::string projection(std::int64_t layer, Projection projection);

// PEFT's name of factor "A" or "B".
std::string lora(std::int64_t layer, Projection projection, char factor);
// Of DoRA's magnitudes.
std::string magnitude(std::int64_t layer, Projection projection);

}  // namespace reflect::checkpoint_names
