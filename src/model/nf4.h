// NF4 with double quantisation (Dettmers et al. 2023, arXiv 2305.14314), codes and values as in
// bitsandbytes: four bits a weight, an 8-bit absmax for 64 weights, an fp32 scale for 256 absmax.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <vector>

#include "gpu_bodies.h"

namespace reflect::nf4 {

inline constexpr std::int64_t kBlock = 64;         // weights that share an absmax
inline constexpr std::int64_t kAbsmaxBlock = 256;  // absmax that share a scale
// A tensor may be cut at multiples of this many weights: its parts then hold the codes of the
// whole.
inline constexpr std::int64_t kCut = kBlock * kAbsmaxBlock;

// The 16 values that a code stands for, times its block's absmax.
inline constexpr std::array<float, 16> kValues = {-1.0f,
                                                  -0.6961928009986877f,
                                                  -0.5250730514526367f,
                                                  -0.39491748809814453f,
                                                  -0.28444138169288635f,
                                                  -0.18477343022823334f,
                                                  -0.09105003625154495f,
                                                  0.0f,
                                                  0.07958029955625534f,
                                                  0.16093020141124725f,
                                                  0.24611230194568634f,
                                                  0.33791524171829224f,
                                                  0.44070982933044434f,
                                                  0.5626170039176941f,
                                                  0.7229568362236023f,
                                                  1.0f};

// The 256 values that an absmax code stands for, times its scale: the signed dynamic map of
// Dettmers 2015, arXiv 1511.04561, sorted.
const std::array<float, 256>& absmax_values();

// `size` weights in row-major order: a whole tensor, or a slice of one, which keeps all scales.
struct Quantized {
  std::int64_t size = 0;
  at::Tensor codes;         // [ceil(size / 2)] uint8: two a byte, the first in the high bits
  at::Tensor absmax;        // [ceil(size / 64)] uint8
  at::Tensor absmax_scale;  // [ceil(size / 64 / 256)] fp32, of the whole tensor's size
  float absmax_mean = 0;    // of the whole tensor; taken off before absmax are quantised
  gpu::Nf4Blocks blocks = {};
  std::int64_t bytes() const;
};

// Columns [index * n / count, (index + 1) * n / count) of a whole matrix of `rows` rows and n
// columns, as a copy. Their number must be a multiple of kBlock.
Quantized columns(const Quantized& whole, std::int64_t rows, std::int64_t index,
                  std::int64_t count);

// Sums of the absmax of each kCut weights (the last may be fewer), for mean_absmax: the sums of a
// tensor's parts, in order, are those of the whole.
std::vector<double> absmax_sums(const at::Tensor& weights);
// Mean absmax of a tensor of `size` weights, given all its sums. Added up in order and in double,
// so that it depends on nothing but the weights.
float mean_absmax(const std::vector<double>& sums, std::int64_t size);

// `weights`: contiguous, any floating type, on the CPU; the whole tensor, or a part of one whose
// mean absmax is given.
Quantized quantize(const at::Tensor& weights);
Quantized quantize(const at::Tensor& weights, float absmax_mean);

// Writes the weights into `out`: contiguous fp32 or bf16 with `size` numbers, rounded once.
void dequantize(const Quantized& quantized, at::Tensor out);

}  // namespace reflect::nf4
