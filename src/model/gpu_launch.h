// Starts the GPU kernels on a stream; pointers are into the GPU's memory. Nothing of libtorch here,
// so that the CUDA compiler does not read its headers.
#pragma once

#include <cstdint>

#include "gpu_bodies.h"

using CudaStream = struct CUstream_st*;

namespace reflect::gpu {

enum class Element { kFloat, kBFloat16 };

// Rows of `width` numbers that lie one after another.
struct Rows {
  Element type;
  std::int64_t count, width;
};

// Each returns nullptr, or what CUDA says of a launch that failed.
const char* launch_rms_norm(CudaStream stream, const Rows& rows, const void* x, const void* weight,
                            void* y, float eps, float* rstd);
const char* launch_add_rms_norm(CudaStream stream, const Rows& rows, const void* x,
                                const void* residual, void* sum, const void* weight, void* y,
                                float eps, float* rstd);
// dsum: the gradient that reaches x beside the norm, or nullptr.
const char* launch_rms_norm_backward(CudaStream stream, const Rows& rows, const void* dy,
                                     const void* dsum, const void* x, const void* weight, void* dx,
                                     const float* rstd);
const char* launch_swiglu(CudaStream stream, const Rows& rows, const void* gate, const void* up,
                          void* y);
const char* launch_swiglu_backward(CudaStream stream, const Rows& rows, const void* dy,
                                   const void* gate, const void* up, void* dgate, void* dup);
// cos and sin: [rows, half] with heads of 2 * half features.
const char* launch_rotate(CudaStream stream, const Rows& rows, std::int64_t half, const void* x,
                          const float* cos, const float* sin, float direction, void* y);
// weights: [rows], or nullptr for no gradient.
const char* launch_nll(CudaStream stream, const Rows& rows, void* logits,
                       const std::int64_t* targets, const float* weights, float* nll);
// `size` weights in row-major order.
const char* launch_nf4(CudaStream stream, Element type, std::int64_t size,
                       const std::uint8_t* codes, const Nf4Scales& scales, void* out);
// codes: e4m3; scale: [rows].
const char* launch_fp8(CudaStream stream, const Rows& rows, const void* codes, const float* scale,
                       void* out);

}  // namespace reflect::gpu
