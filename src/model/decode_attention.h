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

// Writes out[token] for each row. q and out are [T, heads * head_dim]; keys and values are
// [slots, max_tokens, kv_heads, head_dim]. Scores, softmax and sums in fp32.
void decode_attention(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                      const DecodeRows& rows, const AttentionShape& shape, at::Tensor& out);

}  // namespace reflect
