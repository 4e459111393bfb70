// The decoder's elementwise steps with their gradients, one pass over memory each.
#pragma once

#include <ATen/core/Tensor.h>

namespace reflect {

// RMSNorm (Zhang and Sennrich 2019, arXiv 1910.07467): x / sqrt(mean(x^2) + eps) * weight over the
// last dimension. x [T, H], weight [H] -> [T, H]. Statistics in fp32.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

// Rows of a residual stream and their RMSNorm, both [T, H].
struct SumAndNorm {
  at::Tensor sum, norm;
};

// x + residual, rounded to their type, and rms_norm of that, in one pass: the same bits as the two
// steps, gradients included. x and residual [T, H].
SumAndNorm add_rms_norm(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& weight,
                        double eps);
// The same with the sum in place of x, which is contiguous; returns the norm. Without gradients.
at::Tensor add_rms_norm_(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& weight,
                         double eps);

// SwiGLU (Shazeer 2020, arXiv 2002.05202): silu(gate) * up, all [T, I].
at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up);

// Rotations of RoPE for T tokens: cos and sin are [T, head_dim / 2] in fp32.
struct Rotation {
  at::Tensor cos, sin;
};

// Rotary position embedding (Su et al. 2021, arXiv 2104.09864) in the half-split layout of Hugging
// Face checkpoints: x [T, heads * head_dim] -> the same, feature i turned with i + head_dim / 2.
at::Tensor apply_rope(const at::Tensor& x, const Rotation& rotation);

}  // namespace reflect
