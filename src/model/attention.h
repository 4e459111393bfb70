// Causal attention within the rows of a packed batch, with or without cached keys and values.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "reflect/model/llama.h"

namespace reflect {

struct AttentionShape {
  std::int64_t heads, kv_heads, head_dim;
  std::optional<std::int64_t> window;  // keys further back than this are not seen
};

// rows.offsets as the packed kernel reads them on a GPU: int32 [rows + 1], made once for all layers
// of a pass. Undefined for a CPU.
at::Tensor offsets_on(const at::Device& device, const PackedRows& rows);

// Softmax(q k^T / sqrt(head_dim)) v, causal, over each row and the rows that it continues. q [T,
// heads * head_dim], k and v [T, kv_heads * head_dim] -> [T, heads * head_dim]; query head h reads
// key head h / (heads / kv_heads). With a cache, k and v are first written to the rows' slots of
// `layer` and each row sees all it has there; no gradient then.
// `offsets`: offsets_on of the rows, which is made where it is not given.
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const PackedRows& rows, const AttentionShape& shape,
                     const at::Tensor& offsets = {});
at::Tensor cached_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const PackedRows& rows, const AttentionShape& shape, KvCache& cache,
                            std::int64_t layer);

}  // namespace reflect
