// What training computes by the usual count, and what processors can: the two sides of MFU.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "reflect/model/llama_config.h"

namespace reflect {

// Weights that a token is multiplied with: all but the input embedding.
inline double multiplied_weights(const LlamaConfig& model) {
  const std::int64_t table = model.vocab_size * model.hidden_size;
  return static_cast<double>(model.parameters() - (model.tie_word_embeddings ? 0 : table));
}

// FLOPs of attention for a token in a row of `row_tokens`, `a_layer` L H S: 2 forward (causal), 6
// with the backward pass. H is the width of attention (heads times their dimension).
inline double attention_flops(const LlamaConfig& model, double a_layer, double row_tokens) {
  const auto wide = static_cast<double>(model.num_attention_heads * model.head_dim);
  return a_layer * static_cast<double>(model.num_hidden_layers) * wide * row_tokens;
}

// Model FLOPs of training a token: 4 N + 6 L H S with a frozen base (`lora`), 6 N + 6 L H S else.
// What is computed a second time does not count.
inline double model_flops(const LlamaConfig& model, bool lora, double row_tokens) {
  return (lora ? 4 : 6) * multiplied_weights(model) + attention_flops(model, 6, row_tokens);
}

// Dense bf16 FLOP/s of a GPU by the data sheets behind --plan.gpu; `model`: as its driver names it
// ("NVIDIA H100 80GB HBM3"). Nothing for one that is not known.
std::optional<double> flops_of_gpu(std::string_view model);

}  // namespace reflect
