// Comparison of tensors that two implementations or two devices have computed.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <catch2/catch.hpp>

namespace reflect {

// `own` is `expected` within `bound`, relative where it is above 1; compared in fp32 on the CPU.
inline void check_close(const at::Tensor& own, const at::Tensor& expected, double bound) {
  const at::Tensor wide = expected.cpu().to(at::kFloat);
  const at::Tensor difference = (own.cpu().to(at::kFloat) - wide).abs() / wide.abs().clamp_min(1);
  CHECK(difference.max().item<double>() <= bound);
}

// Within what the order of sums changes in fp32, and one rounding of the result in bf16.
inline void check_close(const at::Tensor& own, const at::Tensor& expected) {
  check_close(own, expected, own.scalar_type() == at::kFloat ? 2e-6 : 1.0 / 128);
}

}  // namespace reflect
