// The gradient of block_attention, in blocks of queries and keys.
#pragma once

#include <ATen/core/Tensor.h>

#include "attention.h"

namespace reflect {

// What attention has read and written: q and out [T, heads * head_dim], k and v [T, kv_heads *
// head_dim], all contiguous; log_sums [heads, T] (fp32), the logarithms of the softmax's
// denominators.
struct AttentionValues {
  at::Tensor q, k, v, out, log_sums;
};

struct AttentionGradients {
  at::Tensor q, k, v;
};

// `dout`: the gradient of out, contiguous. Probabilities are made again from the scores and
// log_sums, a block at a time (Dao 2023, arXiv 2307.08691, algorithm 2); products run in q's type
// with sums in fp32. The bits do not depend on the number of threads.
AttentionGradients block_attention_backward(const at::Tensor& dout, const AttentionValues& values,
                                            const PackedRows& rows, const AttentionShape& shape);

}  // namespace reflect
