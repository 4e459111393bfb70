// The decoder's own kernels on a GPU, with the meanings of their CPU counterparts (elementwise.h,
// cross_entropy.h, nf4.h, fp8.h). All tensors are contiguous and on one GPU; work goes to its
// current stream. A program built without CUDA has no_gpu_kernels.cpp instead: Error (usage).
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <utility>

#include "fp8.h"
#include "nf4.h"

namespace reflect::gpu {

// y [T, H] in x's type and 1 / root mean square [T] in fp32.
std::pair<at::Tensor, at::Tensor> rms_norm(const at::Tensor& x, const at::Tensor& weight,
                                           double eps);
// The same of x + residual, which is written to `sum`; that may be x.
std::pair<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& x, const at::Tensor& residual,
                                               const at::Tensor& sum, const at::Tensor& weight,
                                               double eps);
// The gradient of x, and `dsum` added to it where that is defined.
at::Tensor rms_norm_backward(const at::Tensor& dy, const at::Tensor& dsum, const at::Tensor& x,
                             const at::Tensor& weight, const at::Tensor& rstd);

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up);
// The gradients of gate and up.
std::pair<at::Tensor, at::Tensor> swiglu_backward(const at::Tensor& dy, const at::Tensor& gate,
                                                  const at::Tensor& up);

// RoPE in direction 1, its gradient in direction -1.
at::Tensor rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
                  float direction);

// Negative log-likelihoods [N] in fp32; with weights [N] the logits become the weighted gradient.
at::Tensor nll(const at::Tensor& logits, const at::Tensor& targets,
               const std::optional<at::Tensor>& weights);

void dequantize(const nf4::Quantized& quantized, const at::Tensor& out);
void dequantize(const fp8::Quantized& quantized, const at::Tensor& out);

}  // namespace reflect::gpu
