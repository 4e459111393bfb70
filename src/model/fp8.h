// FP8 e4m3 (Micikevicius et al. 2022, arXiv 2209.05433) with one scale a row: eight bits a weight.
#pragma once

#include <ATen/core/Tensor.h>

namespace reflect::fp8 {

inline constexpr float kLargest = 448;  // of e4m3 without infinities

struct Quantized {
  at::Tensor codes;  // [rows, columns] float8_e4m3fn
  at::Tensor scale;  // [rows] fp32: the row's largest magnitude / 448; 1 for a row of zeros
  std::int64_t bytes() const;
};

// `weights` [rows, columns]: contiguous, any floating type, on the CPU. Each is divided by its
// row's scale and rounded to the nearest, ties to even. Rows are apart, so a tensor may be cut
// between any.
Quantized quantize(const at::Tensor& weights);

// Writes code * scale into `out` [rows, columns], contiguous fp32 or bf16, rounded once.
void dequantize(const Quantized& quantized, at::Tensor out);

}  // namespace reflect::fp8
