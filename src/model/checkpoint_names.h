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

// "model.layers.3.self_attn.q_proj": a projection without the ending.
std::string module_of(std::int64_t layer, Projection projection);
inline constexpr const char* kHeadModule = "lm_head";
inline constexpr const char* kEmbeddingModule = "model.embed_tokens";

// PEFT's name of factor "A" or "B" on a module.
std::string lora(const std::string& module, char factor);
// Of DoRA's magnitudes.
std::string magnitude(const std::string& module);
// Of trained token rows of a table.
std::string token_rows(const std::string& module);
// Of the base's own output matrix, which PEFT writes beside an adapter on it.
inline constexpr const char* kHeadCopy = "base_model.model.lm_head.base_layer.weight";

}  // namespace reflect::checkpoint_names
