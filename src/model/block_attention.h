// Attention of packed rows on a CPU, in blocks of queries and keys.
#pragma once

#include <ATen/core/Tensor.h>

#include "attention.h"

namespace reflect {

// Whether this processor has it for a type.
bool has_block_attention(at::ScalarType dtype);
// Whether it serves for these tensors.
bool can_use_block_attention(const at::Tensor& q, const AttentionShape& shape);

// attention() of attention.h for a tree of rows or rows alone. Products run in q's type with sums
// in fp32; the softmax is in fp32. For the gradient it saves q, k, v, the result and a number for
// each head and token.
at::Tensor block_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           const PackedRows& rows, const AttentionShape& shape);

}  // namespace reflect
