// The arithmetic of the GPU kernels, apart from how it is launched: plain functions that compile
// for a processor, too, where the tests run them. A row is worked on by a team of threads: a thread
// block on a GPU, one thread (Alone) in the tests.
#pragma once

#include <cmath>
#include <cstdint>

#ifdef __CUDACC__
#define REFLECT_ANYWHERE __host__ __device__ __forceinline__
#else
#define REFLECT_ANYWHERE inline
#endif

namespace reflect::gpu {

// A team of one.
struct Alone {
  REFLECT_ANYWHERE std::int64_t index() const { return 0; }
  REFLECT_ANYWHERE std::int64_t size() const { return 1; }
  REFLECT_ANYWHERE float sum(float mine) const { return mine; }
  REFLECT_ANYWHERE float largest(float mine) const { return mine; }
};

// N neighbours, read and written at once: their address is a multiple of their size.
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  T values[N];

  REFLECT_ANYWHERE float operator[](int i) const { return static_cast<float>(values[i]); }
  REFLECT_ANYWHERE void set(int i, float value) { values[i] = static_cast<T>(value); }
};

template <int N, class T>
REFLECT_ANYWHERE Pack<T, N> load(const T* from) {
  return *reinterpret_cast<const Pack<T, N>*>(from);
}
template <class T, int N>
REFLECT_ANYWHERE void store(T* to, const Pack<T, N>& pack) {
  *reinterpret_cast<Pack<T, N>*>(to) = pack;
}

// Calls work(i) for each pack [i, i + N) of a row that is this thread's.
template <int N, class Team, class Work>
REFLECT_ANYWHERE void for_each_pack(const Team& team, std::int64_t n, const Work& work) {
  for (std::int64_t i = team.index() * N; i < n; i += team.size() * N) work(i);
}

// y = x rstd, rounded, times weight; `squares` is the sum of this thread's x^2. n is a multiple of
// N, here and below.
template <int N, class T, class Team>
REFLECT_ANYWHERE void normed_row(const Team& team, float squares, const T* x, const T* weight, T* y,
                                 std::int64_t n, float eps, float* rstd) {
  const float r = 1.0f / sqrtf(team.sum(squares) / static_cast<float>(n) + eps);
  for_each_pack<N>(team, n, [&](std::int64_t i) {
    auto ys = load<N>(x + i);
    const auto ws = load<N>(weight + i);
    for (int k = 0; k < N; ++k) {
      ys.set(k, ys[k] * r);
      ys.set(k, ys[k] * ws[k]);
    }
    store(y + i, ys);
  });
  if (team.index() == 0) *rstd = r;
}

// As elementwise.h's rms_norm.
template <int N, class T, class Team>
REFLECT_ANYWHERE void rms_norm_row(const Team& team, const T* x, const T* weight, T* y,
                                   std::int64_t n, float eps, float* rstd) {
  float squares = 0;
  for_each_pack<N>(team, n, [&](std::int64_t i) {
    const auto xs = load<N>(x + i);
    for (int k = 0; k < N; ++k) squares += xs[k] * xs[k];
  });
  normed_row<N>(team, squares, x, weight, y, n, eps, rstd);
}

// As elementwise.h's add_rms_norm; `sum` may be x. Each thread reads the sums that it wrote.
template <int N, class T, class Team>
REFLECT_ANYWHERE void add_rms_norm_row(const Team& team, const T* x, const T* residual, T* sum,
                                       const T* weight, T* y, std::int64_t n, float eps,
                                       float* rstd) {
  float squares = 0;
  for_each_pack<N>(team, n, [&](std::int64_t i) {
    auto xs = load<N>(x + i);
    const auto rs = load<N>(residual + i);
    for (int k = 0; k < N; ++k) {
      xs.set(k, xs[k] + rs[k]);
      squares += xs[k] * xs[k];
    }
    store(sum + i, xs);
  });
  normed_row<N>(team, squares, sum, weight, y, n, eps, rstd);
}

// dx = rstd (w dy - x rstd^2 mean(w dy x)), rounded, plus dsum where it is not null.
template <int N, class T, class Team>
REFLECT_ANYWHERE void rms_norm_row_backward(const Team& team, const T* dy, const T* dsum,
                                            const T* x, const T* weight, T* dx, std::int64_t n,
                                            float rstd) {
  float dot = 0;
  for_each_pack<N>(team, n, [&](std::int64_t i) {
    const auto ds = load<N>(dy + i), xs = load<N>(x + i), ws = load<N>(weight + i);
    for (int k = 0; k < N; ++k) dot += ds[k] * ws[k] * xs[k];
  });
  const float mean = team.sum(dot) * rstd * rstd / static_cast<float>(n);
  for_each_pack<N>(team, n, [&](std::int64_t i) {
    auto ds = load<N>(dy + i);
    const auto xs = load<N>(x + i), ws = load<N>(weight + i);
    for (int k = 0; k < N; ++k) ds.set(k, rstd * (ds[k] * ws[k] - xs[k] * mean));
    if (dsum != nullptr) {
      const auto sums = load<N>(dsum + i);
      for (int k = 0; k < N; ++k) ds.set(k, ds[k] + sums[k]);
    }
    store(dx + i, ds);
  });
}

REFLECT_ANYWHERE float sigmoid(float x) {
  return 1.0f / (1.0f + expf(-x));
}

template <int N, class T>
REFLECT_ANYWHERE void swiglu(const T* gate, const T* up, T* y) {
  auto g = load<N>(gate);
  const auto u = load<N>(up);
  for (int k = 0; k < N; ++k) g.set(k, g[k] * sigmoid(g[k]) * u[k]);
  store(y, g);
}

template <int N, class T>
REFLECT_ANYWHERE void swiglu_backward(const T* dy, const T* gate, const T* up, T* dgate, T* dup) {
  const auto d = load<N>(dy);
  auto g = load<N>(gate), u = load<N>(up);
  for (int k = 0; k < N; ++k) {
    const float gk = g[k], s = sigmoid(gk), uk = u[k];
    g.set(k, d[k] * uk * s * (1.0f + gk * (1.0f - s)));
    u.set(k, d[k] * gk * s);
  }
  store(dgate, g);
  store(dup, u);
}

// Turns N features of a head's first half, a, with those of its second half, b; direction -1 undoes
// direction 1.
template <int N, class T>
REFLECT_ANYWHERE void rotate(const T* a, const T* b, const float* cos, const float* sin,
                             float direction, T* ya, T* yb) {
  auto as = load<N>(a), bs = load<N>(b);
  for (int k = 0; k < N; ++k) {
    const float ak = as[k], bk = bs[k], c = cos[k], s = direction * sin[k];
    as.set(k, ak * c - bk * s);
    bs.set(k, bk * c + ak * s);
  }
  store(ya, as);
  store(yb, bs);
}

// -log softmax(x)[target]; where `weight` is not null, x becomes *weight times its gradient. A row
// that is not finite gives NaN.
template <int N, class T, class Team>
REFLECT_ANYWHERE void nll_row(const Team& team, T* x, std::int64_t n, std::int64_t target,
                              const float* weight, float* nll) {
  const float at_target =
      static_cast<float>(x[target]);  // before anyone writes: sum() is a barrier
  float top = -INFINITY;
  for_each_pack<N>(team, n, [&](std::int64_t i) {
    const auto xs = load<N>(x + i);
    for (int k = 0; k < N; ++k) top = fmaxf(top, xs[k]);
  });
  top = team.largest(top);
  float sum = 0;
  for_each_pack<N>(team, n, [&](std::int64_t i) {
    const auto xs = load<N>(x + i);
    for (int k = 0; k < N; ++k) sum += expf(xs[k] - top) + 0.0f * xs[k];
  });
  const float log_sum = top + logf(team.sum(sum));
  if (team.index() == 0) *nll = log_sum - at_target;
  if (weight == nullptr) return;
  for_each_pack<N>(team, n, [&](std::int64_t i) {
    auto xs = load<N>(x + i);
    for (int k = 0; k < N; ++k)
      xs.set(k, *weight * (expf(xs[k] - log_sum) - (i + k == target ? 1.0f : 0.0f)));
    store(x + i, xs);
  });
}

// A product that is rounded by itself, never fused into a multiply-add.
REFLECT_ANYWHERE float rounded_product(float a, float b) {
#ifdef __CUDA_ARCH__
  return __fmul_rn(a, b);
#else
  const volatile float product = a * b;
  return product;
#endif
}

// Which of a matrix's blocks of 64 weights are those of a slice: runs of `width`, the first block
// of the first is `first`, and `gap` blocks lie between two. As it starts it is all.
struct Nf4Blocks {
  std::uint32_t first = 0, width = 1, gap = 0;

  // The number in the matrix of the slice's block `block`.
  REFLECT_ANYWHERE std::int64_t in_whole(std::int64_t block) const {
    const std::uint32_t runs = gap == 0 ? 0 : static_cast<std::uint32_t>(block) / width;
    return first + block + static_cast<std::int64_t>(runs) * gap;
  }
};

// The scales of NF4, as nf4.h's Quantized holds them, and the values of its codes.
struct Nf4Scales {
  const std::uint8_t* absmax;
  const float* absmax_scale;
  Nf4Blocks blocks;
  float absmax_mean;
  const float* values;         // [16]
  const float* absmax_values;  // [256]
};

// The 2 N weights of N bytes of codes from byte `first` on: all of one block of 64 weights.
template <int N, class T>
REFLECT_ANYWHERE void nf4_weights(const std::uint8_t* codes, std::int64_t first,
                                  const Nf4Scales& scales, T* out) {
  const std::int64_t block = first / 32, absmax_block = scales.blocks.in_whole(block) / 256;
  const float centred = rounded_product(scales.absmax_values[scales.absmax[block]],
                                        scales.absmax_scale[absmax_block]);
  const float scale = centred + scales.absmax_mean;
  const auto bytes = load<N>(codes + first);
  Pack<T, 2 * N> weights;
  for (int k = 0; k < N; ++k) {
    weights.set(2 * k, scales.values[bytes.values[k] >> 4] * scale);
    weights.set(2 * k + 1, scales.values[bytes.values[k] & 15] * scale);
  }
  store(out + 2 * first, weights);
}

// N weights of one row of FP8 codes.
template <int N, class Code, class T>
REFLECT_ANYWHERE void fp8_weights(const Code* codes, float scale, T* out) {
  const auto cs = load<N>(codes);
  Pack<T, N> weights;
  for (int k = 0; k < N; ++k) weights.set(k, cs[k] * scale);
  store(out, weights);
}

}  // namespace reflect::gpu
