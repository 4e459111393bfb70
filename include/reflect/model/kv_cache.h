// Keys and values of rows that are being decoded.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "reflect/model/llama_config.h"
#include "reflect/model/runtime.h"

namespace reflect {

// One tensor a layer for keys and one for values, each [slots, max_tokens, kv_heads, head_dim].
// A row owns a slot; its length is the caller's to know (PackedRows::past).
class KvCache {
 public:
  KvCache(const LlamaConfig& config, std::int64_t slots, std::int64_t max_tokens,
          const Runtime& runtime);
  at::Tensor& keys(std::int64_t layer) { return keys_[layer]; }
  at::Tensor& values(std::int64_t layer) { return values_[layer]; }
  std::int64_t slots() const { return slots_; }
  std::int64_t max_tokens() const { return max_tokens_; }

 private:
  std::int64_t slots_, max_tokens_;
  std::vector<at::Tensor> keys_, values_;
};

}  // namespace reflect
