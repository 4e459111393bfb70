// Attention of single new tokens over their cached keys and values, on a CPU.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "attention.h"

namespace reflect {

// Token `token` of the batch owns cache slot `slot`, in which `length` positions are filled, its
// own among them.
struct DecodeRow {
  std::int64_t token, slot, length;
};
using DecodeRows = std::vector<DecodeRow>;

// The new tokens' queries [T, heads * head_dim], keys and values [T, kv_heads * head_dim],
// contiguous.
struct DecodeInput {
  const at::Tensor &q, &k, &v;
};

// One layer's cache, each [slots, max_tokens, kv_heads, head_dim].
struct KvSlots {
  at::Tensor keys, values;
};

// Puts each row's key and value into the cache and writes out[token], [T, heads * head_dim]. fp32
// or bf16; scores, softmax and sums in fp32.
void decode_attention(const DecodeInput& input, KvSlots cache, const DecodeRows& rows,
                      const AttentionShape& shape, at::Tensor& out);

}  // namespace reflect
