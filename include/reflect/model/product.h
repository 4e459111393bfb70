// The matrix product of the decoder and its gradients, by the fastest library for type and device.
#pragma once

#include <ATen/core/Tensor.h>

namespace reflect {

// a [M, K] times b [K, N] -> [M, N], both of one dtype; either may be a transposed view. fp32 on a
// CPU goes through oneDNN (2 to 4 times the rate of PyTorch's default on AMD). Without autograd.
at::Tensor product(const at::Tensor& a, const at::Tensor& b);

}  // namespace reflect
