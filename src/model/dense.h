// Matrix products of the decoder: plain, and with a LoRA branch.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

#include "reflect/model/lora.h"

namespace reflect {

// Makes a tensor a second time, bit by bit, so that it is not kept for the gradient.
using TensorAgain = std::function<at::Tensor()>;

// What a product's gradient makes again; what is left out it keeps.
struct MadeAgain {
  TensorAgain input = {};
  TensorAgain weight = {};
};

// x [T, in] times weight [out, in] transposed -> [T, out], with gradients to both. fp32 on a CPU
// goes through oneDNN (2 to 4 times the rate of PyTorch's default on AMD). A packed weight
// (see packed_weight) has no gradients.
at::Tensor dense(const at::Tensor& x, const at::Tensor& weight, const MadeAgain& again = {});

// weight [out, in] (a CPU's, fp32 or bf16) as oneDNN's product reads it for many tokens: an opaque
// tensor.
at::Tensor packed_weight(const at::Tensor& weight);

// The adapter's part of a projection: y = x W^T + scale * (z A^T) B^T, where z is x or, while
// dropout is on, `dropped`. With DoRA and g = magnitude / |W + scale B A|, as PEFT has it:
// y = x W^T + g * (z W^T + scale * (z A^T) B^T) - z W^T. Where the ranks of `columns` hold some
// columns of W and A each, y is this one's term of a sum.
struct LoraBranch {
  const LoraPair& pair;
  double scale;
  std::optional<at::Tensor> dropped;
  MadeAgain again = {};  // z and W
  ProcessGroup columns = {};
};
at::Tensor dense_with_lora(const at::Tensor& x, const at::Tensor& weight, const LoraBranch& branch);

}  // namespace reflect
