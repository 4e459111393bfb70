// config.json of Llama-architecture checkpoints, in both spellings that the field uses.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace reflect {

struct RopeScaling {
  enum class Type { kNone, kLinear, kLlama3 };
  Type type = Type::kNone;
  double factor = 1;
  double low_freq_factor = 1;  // llama3 only, as the next two
  double high_freq_factor = 4;
  std::int64_t original_max_position_embeddings = 8192;
};

struct LlamaConfig {
  std::string model_type = "llama";
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t num_hidden_layers = 0;
  std::int64_t num_attention_heads = 0;
  std::int64_t num_key_value_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t vocab_size = 0;
  std::int64_t max_position_embeddings = 2048;
  double rms_norm_eps = 1e-5;
  double rope_theta = 10000;
  RopeScaling rope_scaling;
  std::optional<std::int64_t> sliding_window;  // Mistral: keys further back are not seen
  bool tie_word_embeddings = false;
  std::optional<std::int32_t> bos_token_id;
  std::vector<std::int32_t> eos_token_ids;  // of generation_config.json where there is one
  double initializer_range = 0.02;          // standard deviation of fresh random weights
  std::string torch_dtype = "float32";

  std::int64_t parameters() const;  // of the whole model, tied weights once
};

// Reads `folder`/config.json (and generation_config.json). Throws Error that names the file, the
// field, its value and what is supported.
LlamaConfig read_llama_config(const std::string& folder);

}  // namespace reflect
