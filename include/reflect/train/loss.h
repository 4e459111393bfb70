// Weighted next-token cross-entropy without a full [T, V] tensor of logits.
#pragma once

#include <ATen/core/Tensor.h>

#include "reflect/model/token_tables.h"

namespace reflect {

struct TokenLoss {
  at::Tensor sum;  // scalar fp32: sum of weight_i * nll_i; differentiable
  at::Tensor nll;  // [N] fp32: -log p of each target, without gradient
};

// Positions whose logits exist at a time.
std::int64_t rows_of_logits(std::int64_t vocab_size);

// Of hidden states [N, H], the output matrix, `targets` [N] (int64) and `weights` [N] (fp32).
// Logits exist for a few rows at a time, as a product in the dtype of `hidden` and from there in
// fp32. The gradients of `hidden` and of what head.trained() names are computed on the way, chunk
// by chunk, so the backward pass only scales them. `first` is the number of the first row among
// those of the pass (OutputHead::logits), here and below.
TokenLoss weighted_cross_entropy(const at::Tensor& hidden, const OutputHead& head,
                                 const at::Tensor& targets, const at::Tensor& weights,
                                 std::int64_t first = 0);

// -log p [N] (fp32) of each target, differentiable, for losses that are not a sum known beforehand.
// The logits are computed again in the backward pass.
at::Tensor token_nll(const at::Tensor& hidden, const OutputHead& head, const at::Tensor& targets,
                     std::int64_t first = 0);

}  // namespace reflect
