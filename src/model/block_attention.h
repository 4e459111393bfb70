// Attention of packed rows on a CPU, for inference, in blocks of queries and keys.
#pragma once

#include <ATen/core/Tensor.h>

#include "attention.h"

namespace reflect {

// Whether this processor and these tensors can use it, in inference mode. Training never does: its
// forward pass must be bit by bit what it computes again for the gradient.
bool can_use_block_attention(const at::Tensor& q, const AttentionShape& shape);

// attention() of attention.h for a tree of rows or rows alone. Products run in q's type with sums
// in fp32; the softmax is in fp32.
at::Tensor block_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           const PackedRows& rows, const AttentionShape& shape);

}  // namespace reflect
