#include <cuda_bf16.h>
#include <cuda_fp8.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <type_traits>

#include "gpu_launch.h"

namespace reflect::gpu {
namespace {

constexpr int kWarp = 32;
constexpr int kMaxThreads = 1024;

// The threads of a block, which share a row.
class BlockTeam {
 public:
  __device__ std::int64_t index() const { return threadIdx.x; }
  __device__ std::int64_t size() const { return blockDim.x; }
  __device__ float sum(float mine) const {
    return combined(mine, 0.0f, [](float a, float b) { return a + b; });
  }
  __device__ float largest(float mine) const {
    return combined(mine, -INFINITY, [](float a, float b) { return fmaxf(a, b); });
  }

 private:
  // In a fixed order, so that runs agree; a barrier for all threads before and after.
  template <class Combine>
  __device__ float combined(float mine, float neutral, const Combine& combine) const {
    __shared__ float of_warp[kMaxThreads / kWarp];
    for (int step = kWarp / 2; step > 0; step /= 2)
      mine = combine(mine, __shfl_xor_sync(0xffffffffu, mine, step));
    __syncthreads();  // the last call's results are read
    if (threadIdx.x % kWarp == 0) of_warp[threadIdx.x / kWarp] = mine;
    __syncthreads();
    float all = threadIdx.x % kWarp < blockDim.x / kWarp ? of_warp[threadIdx.x % kWarp] : neutral;
    for (int step = kWarp / 2; step > 0; step /= 2)
      all = combine(all, __shfl_xor_sync(0xffffffffu, all, step));
    return all;
  }
};

// Kernels whose rows share numbers run one block a row; the others give each thread a pack.

// Threads for a row of `packs`: whole warps, no more than have work.
int threads_for(std::int64_t packs) {
  const std::int64_t warps = (packs + kWarp - 1) / kWarp;
  return static_cast<int>(std::min<std::int64_t>(warps * kWarp, kMaxThreads));
}

const char* last_error() {
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

template <class T>
struct ElementType {
  using Type = T;
};

// Calls launch(type, pack width): 16 bytes a pack where `width` and all pointers allow it, else
// single numbers.
template <class Launch, class... Pointers>
const char* by_type_and_pack(Element type, std::int64_t width, const Launch& launch,
                             const Pointers*... pointers) {
  const auto aligned = [](const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; };
  const bool all_aligned = (aligned(pointers) && ...);
  if (type == Element::kFloat) {
    if (all_aligned && width % 4 == 0)
      launch(ElementType<float>{}, std::integral_constant<int, 4>{});
    else
      launch(ElementType<float>{}, std::integral_constant<int, 1>{});
  } else if (all_aligned && width % 8 == 0) {
    launch(ElementType<__nv_bfloat16>{}, std::integral_constant<int, 8>{});
  } else {
    launch(ElementType<__nv_bfloat16>{}, std::integral_constant<int, 1>{});
  }
  return last_error();
}

template <int N, class T>
__global__ void rms_norm_kernel(const T* x, const T* weight, T* y, std::int64_t n, float eps,
                                float* rstd) {
  const std::int64_t row = blockIdx.x;
  rms_norm_row<N>(BlockTeam(), x + row * n, weight, y + row * n, n, eps, rstd + row);
}

template <int N, class T>
__global__ void add_rms_norm_kernel(const T* x, const T* residual, T* sum, const T* weight, T* y,
                                    std::int64_t n, float eps, float* rstd) {
  const std::int64_t row = blockIdx.x, begin = row * n;
  add_rms_norm_row<N>(BlockTeam(), x + begin, residual + begin, sum + begin, weight, y + begin, n,
                      eps, rstd + row);
}

template <int N, class T>
__global__ void rms_norm_backward_kernel(const T* dy, const T* dsum, const T* x, const T* weight,
                                         T* dx, std::int64_t n, const float* rstd) {
  const std::int64_t row = blockIdx.x, begin = row * n;
  rms_norm_row_backward<N>(BlockTeam(), dy + begin, dsum == nullptr ? nullptr : dsum + begin,
                           x + begin, weight, dx + begin, n, rstd[row]);
}

template <int N, class T>
__global__ void nll_kernel(T* logits, std::int64_t n, const std::int64_t* targets,
                           const float* weights, float* nll) {
  const std::int64_t row = blockIdx.x;
  nll_row<N>(BlockTeam(), logits + row * n, n, targets[row],
             weights == nullptr ? nullptr : weights + row, nll + row);
}

template <int N, class T>
__global__ void swiglu_kernel(const T* gate, const T* up, T* y, std::int64_t size) {
  const std::int64_t i = (static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * N;
  if (i < size) swiglu<N>(gate + i, up + i, y + i);
}

template <int N, class T>
__global__ void swiglu_backward_kernel(const T* dy, const T* gate, const T* up, T* dgate, T* dup,
                                       std::int64_t size) {
  const std::int64_t i = (static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * N;
  if (i < size) swiglu_backward<N>(dy + i, gate + i, up + i, dgate + i, dup + i);
}

template <int N, class T>
__global__ void rotate_kernel(const T* x, const float* cos, const float* sin, float direction, T* y,
                              std::int64_t width, std::int64_t half) {
  const std::int64_t row = blockIdx.x;
  for (std::int64_t i = threadIdx.x * N; i < width / 2; i += blockDim.x * N) {
    const std::int64_t feature = i % half;
    const std::int64_t a = row * width + i / half * 2 * half + feature, b = a + half;
    rotate<N>(x + a, x + b, cos + row * half + feature, sin + row * half + feature, direction,
              y + a, y + b);
  }
}

template <int N, class T>
__global__ void nf4_kernel(const std::uint8_t* codes, Nf4Scales scales, T* out,
                           std::int64_t bytes) {
  const std::int64_t first = (static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * N;
  if (first < bytes) nf4_weights<N>(codes, first, scales, out);
}

template <int N, class T>
__global__ void fp8_kernel(const __nv_fp8_e4m3* codes, const float* scale, T* out, std::int64_t n) {
  const std::int64_t row = blockIdx.x;
  for (std::int64_t i = threadIdx.x * N; i < n; i += blockDim.x * N)
    fp8_weights<N>(codes + row * n + i, scale[row], out + row * n + i);
}

unsigned blocks_for(std::int64_t items, int threads) {
  return static_cast<unsigned>((items + threads - 1) / threads);
}

}  // namespace

const char* launch_rms_norm(CudaStream stream, const Rows& rows, const void* x, const void* weight,
                            void* y, float eps, float* rstd) {
  if (rows.count == 0) return nullptr;
  const auto launch = [&](auto type, auto pack) {
    using T = typename decltype(type)::Type;
    rms_norm_kernel<pack><<<rows.count, threads_for(rows.width / pack), 0, stream>>>(
        static_cast<const T*>(x), static_cast<const T*>(weight), static_cast<T*>(y), rows.width,
        eps, rstd);
  };
  return by_type_and_pack(rows.type, rows.width, launch, x, weight, y);
}

const char* launch_add_rms_norm(CudaStream stream, const Rows& rows, const void* x,
                                const void* residual, void* sum, const void* weight, void* y,
                                float eps, float* rstd) {
  if (rows.count == 0) return nullptr;
  const auto launch = [&](auto type, auto pack) {
    using T = typename decltype(type)::Type;
    add_rms_norm_kernel<pack><<<rows.count, threads_for(rows.width / pack), 0, stream>>>(
        static_cast<const T*>(x), static_cast<const T*>(residual), static_cast<T*>(sum),
        static_cast<const T*>(weight), static_cast<T*>(y), rows.width, eps, rstd);
  };
  return by_type_and_pack(rows.type, rows.width, launch, x, residual, sum, weight, y);
}

const char* launch_rms_norm_backward(CudaStream stream, const Rows& rows, const void* dy,
                                     const void* dsum, const void* x, const void* weight, void* dx,
                                     const float* rstd) {
  if (rows.count == 0) return nullptr;
  const auto launch = [&](auto type, auto pack) {
    using T = typename decltype(type)::Type;
    rms_norm_backward_kernel<pack><<<rows.count, threads_for(rows.width / pack), 0, stream>>>(
        static_cast<const T*>(dy), static_cast<const T*>(dsum), static_cast<const T*>(x),
        static_cast<const T*>(weight), static_cast<T*>(dx), rows.width, rstd);
  };
  return by_type_and_pack(rows.type, rows.width, launch, dy, dsum, x, weight, dx);
}

const char* launch_swiglu(CudaStream stream, const Rows& rows, const void* gate, const void* up,
                          void* y) {
  const std::int64_t size = rows.count * rows.width;
  if (size == 0) return nullptr;
  const auto launch = [&](auto type, auto pack) {
    using T = typename decltype(type)::Type;
    swiglu_kernel<pack><<<blocks_for(size / pack, 256), 256, 0, stream>>>(
        static_cast<const T*>(gate), static_cast<const T*>(up), static_cast<T*>(y), size);
  };
  return by_type_and_pack(rows.type, size, launch, gate, up, y);
}

const char* launch_swiglu_backward(CudaStream stream, const Rows& rows, const void* dy,
                                   const void* gate, const void* up, void* dgate, void* dup) {
  const std::int64_t size = rows.count * rows.width;
  if (size == 0) return nullptr;
  const auto launch = [&](auto type, auto pack) {
    using T = typename decltype(type)::Type;
    swiglu_backward_kernel<pack><<<blocks_for(size / pack, 256), 256, 0, stream>>>(
        static_cast<const T*>(dy), static_cast<const T*>(gate), static_cast<const T*>(up),
        static_cast<T*>(dgate), static_cast<T*>(dup), size);
  };
  return by_type_and_pack(rows.type, size, launch, dy, gate, up, dgate, dup);
}

const char* launch_rotate(CudaStream stream, const Rows& rows, std::int64_t half, const void* x,
                          const float* cos, const float* sin, float direction, void* y) {
  if (rows.count == 0) return nullptr;
  const auto launch = [&](auto type, auto pack) {
    using T = typename decltype(type)::Type;
    rotate_kernel<pack><<<rows.count, threads_for(rows.width / 2 / pack), 0, stream>>>(
        static_cast<const T*>(x), cos, sin, direction, static_cast<T*>(y), rows.width, half);
  };
  return by_type_and_pack(rows.type, half, launch, x, y);
}

const char* launch_nll(CudaStream stream, const Rows& rows, void* logits,
                       const std::int64_t* targets, const float* weights, float* nll) {
  if (rows.count == 0) return nullptr;
  const auto launch = [&](auto type, auto pack) {
    using T = typename decltype(type)::Type;
    nll_kernel<pack><<<rows.count, threads_for(rows.width / pack), 0, stream>>>(
        static_cast<T*>(logits), rows.width, targets, weights, nll);
  };
  return by_type_and_pack(rows.type, rows.width, launch, logits);
}

const char* launch_nf4(CudaStream stream, Element type, std::int64_t size,
                       const std::uint8_t* codes, const Nf4Scales& scales, void* out) {
  if (size == 0) return nullptr;
  const auto launch = [&](auto element, auto pack) {
    using T = typename decltype(element)::Type;
    constexpr int kBytes = pack > 1 ? pack / 2 : 1;  // of codes; two weights each
    nf4_kernel<kBytes><<<blocks_for(size / 2 / kBytes, 256), 256, 0, stream>>>(
        codes, scales, static_cast<T*>(out), size / 2);
  };
  return by_type_and_pack(type, size, launch, codes, out);
}

const char* launch_fp8(CudaStream stream, const Rows& rows, const void* codes, const float* scale,
                       void* out) {
  if (rows.count == 0) return nullptr;
  const auto launch = [&](auto type, auto pack) {
    using T = typename decltype(type)::Type;
    fp8_kernel<pack><<<rows.count, threads_for(rows.width / pack), 0, stream>>>(
        static_cast<const __nv_fp8_e4m3*>(codes), scale, static_cast<T*>(out), rows.width);
  };
  return by_type_and_pack(rows.type, rows.width, launch, codes, out);
}

}  // namespace reflect::gpu
