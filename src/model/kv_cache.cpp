#include "reflect/model/kv_cache.h"

#include <ATen/ops/zeros.h>

namespace reflect {

KvCache::KvCache(const LlamaConfig& config, std::int64_t slots, std::int64_t max_tokens,
                 const Runtime& runtime)
    : slots_(slots), max_tokens_(max_tokens) {
  const auto options = at::TensorOptions().dtype(runtime.dtype).device(runtime.device);
  const std::vector<std::int64_t> shape = {slots, max_tokens, config.num_key_value_heads,
                                           config.head_dim};
  for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    keys_.push_back(at::zeros(shape, options));
    values_.push_back(at::zeros(shape, options));
  }
}

}  // namespace reflect
