// The matrix product of decoding: few rows times a large weight, bound by reading the weight.
#pragma once

#include <ATen/core/Tensor.h>

namespace reflect {

// Most rows for which reading the weight once beats a library product.
inline constexpr std::int64_t kFewRows = 4;

// Whether `few_rows_product` takes x [M, K] and weight [N, K]: M <= kFewRows, both on the CPU,
// dense and of one type, fp32 or bf16.
bool is_few_rows(const at::Tensor& x, const at::Tensor& weight);

// x weight^T -> [M, N], summed in fp32. A row's result does not depend on the other rows. No
// autograd.
at::Tensor few_rows_product(const at::Tensor& x, const at::Tensor& weight);

}  // namespace reflect
