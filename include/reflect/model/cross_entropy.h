// The negative log-likelihood of target tokens and its gradient, in one pass over the logits.
#pragma once

#include <ATen/core/Tensor.h>

namespace reflect {

// -log softmax(logits)[target] of each row, fp32 [N]. logits [N, vocab] fp32 or bf16, contiguous;
// targets [N] (int64) within the vocabulary. Computed in fp32. Without autograd.
at::Tensor target_nll(const at::Tensor& logits, const at::Tensor& targets);

// The same, and logits become the gradient of sum(weights * nll): weight * (softmax - one hot of
// the target), in their own type. weights [N] in fp32.
at::Tensor target_nll_and_gradient_(at::Tensor& logits, const at::Tensor& targets,
                                    const at::Tensor& weights);

}  // namespace reflect
