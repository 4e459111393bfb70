#include "elementwise.h"

#include <ATen/Dispatch.h>
#include <ATen/OpMathType.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "vector_math.h"

namespace reflect {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;
using Output = variable_list;

// Rows a thread takes at least, so that small batches do not pay for threads.
std::int64_t grain(std::int64_t width) {
  return std::max<std::int64_t>(1, 32768 / width);
}

// Calls work(row) for rows [0, count) on all threads.
template <class Work>
void for_each_row(std::int64_t count, std::int64_t width, const Work& work) {
  at::parallel_for(0, count, grain(width), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) work(row);
  });
}

template <class T>
void rms_norm_row(const T* x, const T* weight, T* y, std::int64_t n, double eps, float& rstd) {
  float sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += static_cast<float>(x[i]) * static_cast<float>(x[i]);
  rstd = 1.0f / std::sqrt(sum / static_cast<float>(n) + static_cast<float>(eps));
  for (std::int64_t i = 0; i < n; ++i) {
    const T normed = static_cast<T>(static_cast<float>(x[i]) * rstd);
    y[i] = static_cast<T>(static_cast<float>(normed) * static_cast<float>(weight[i]));
  }
}

// dx = rstd * (w dy - xhat mean(w dy xhat)) with xhat = x rstd.
template <class T>
void rms_norm_row_backward(const T* dy, const T* x, const T* weight, T* dx, std::int64_t n,
                           float rstd) {
  float dot = 0;
  for (std::int64_t i = 0; i < n; ++i)
    dot += static_cast<float>(dy[i]) * static_cast<float>(weight[i]) * static_cast<float>(x[i]);
  const float mean = dot * rstd * rstd / static_cast<float>(n);
  for (std::int64_t i = 0; i < n; ++i) {
    const float scaled = static_cast<float>(dy[i]) * static_cast<float>(weight[i]);
    dx[i] = static_cast<T>(rstd * (scaled - static_cast<float>(x[i]) * mean));
  }
}

struct RmsNorm : Function<RmsNorm> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x_in, const at::Tensor& weight,
                            double eps) {
    const at::Tensor x = x_in.contiguous();
    const std::int64_t rows = x.size(0), n = x.size(1);
    at::Tensor y = at::empty_like(x), rstd = at::empty({rows}, x.options().dtype(at::kFloat));
    AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x.scalar_type(), "rms_norm", [&] {
      const scalar_t* xp = x.const_data_ptr<scalar_t>();
      const scalar_t* wp = weight.const_data_ptr<scalar_t>();
      scalar_t* yp = y.mutable_data_ptr<scalar_t>();
      float* rp = rstd.mutable_data_ptr<float>();
      for_each_row(rows, n, [&](std::int64_t r) {
        rms_norm_row(xp + r * n, wp, yp + r * n, n, eps, rp[r]);
      });
    });
    ctx->save_for_backward({x, weight, rstd});
    return y;
  }

  static Output backward(AutogradContext* ctx, const Output& grads) {
    const auto saved = ctx->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &rstd = saved[2];
    const at::Tensor dy = grads[0].contiguous();
    const std::int64_t rows = x.size(0), n = x.size(1);
    at::Tensor dx = at::empty_like(x);
    AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x.scalar_type(), "rms_norm_backward", [&] {
      const scalar_t* dyp = dy.const_data_ptr<scalar_t>();
      const scalar_t* xp = x.const_data_ptr<scalar_t>();
      const scalar_t* wp = weight.const_data_ptr<scalar_t>();
      scalar_t* dxp = dx.mutable_data_ptr<scalar_t>();
      const float* rp = rstd.const_data_ptr<float>();
      for_each_row(rows, n, [&](std::int64_t r) {
        rms_norm_row_backward(dyp + r * n, xp + r * n, wp, dxp + r * n, n, rp[r]);
      });
    });
    at::Tensor dw;
    if (ctx->needs_input_grad(1)) {
      const at::Tensor normed = x.to(at::kFloat) * rstd.unsqueeze(1);
      dw = (dy.to(at::kFloat) * normed).sum(0).to(weight.scalar_type());
    }
    return {dx, dw, at::Tensor()};
  }
};

struct SwiGlu : Function<SwiGlu> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& gate, const at::Tensor& up) {
    at::Tensor y = at::empty_like(gate);
    const std::int64_t rows = gate.size(0), n = gate.size(1);
    AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, gate.scalar_type(), "swiglu", [&] {
      const scalar_t* gp = gate.const_data_ptr<scalar_t>();
      const scalar_t* up_p = up.const_data_ptr<scalar_t>();
      scalar_t* yp = y.mutable_data_ptr<scalar_t>();
      for_each_row(rows, n, [&](std::int64_t r) {
        for (std::int64_t i = r * n; i < (r + 1) * n; ++i) {
          const float g = static_cast<float>(gp[i]);
          yp[i] = static_cast<scalar_t>(g * sigmoid(g) * static_cast<float>(up_p[i]));
        }
      });
    });
    ctx->save_for_backward({gate, up});
    return y;
  }

  static Output backward(AutogradContext* ctx, const Output& grads) {
    const auto saved = ctx->get_saved_variables();
    const at::Tensor &gate = saved[0], &up = saved[1];
    const at::Tensor dy = grads[0].contiguous();
    at::Tensor dgate = at::empty_like(gate), dup = at::empty_like(up);
    const std::int64_t rows = gate.size(0), n = gate.size(1);
    AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, gate.scalar_type(), "swiglu_backward", [&] {
      const scalar_t* gp = gate.const_data_ptr<scalar_t>();
      const scalar_t* up_p = up.const_data_ptr<scalar_t>();
      const scalar_t* dyp = dy.const_data_ptr<scalar_t>();
      scalar_t* dgp = dgate.mutable_data_ptr<scalar_t>();
      scalar_t* dup_p = dup.mutable_data_ptr<scalar_t>();
      for_each_row(rows, n, [&](std::int64_t r) {
        for (std::int64_t i = r * n; i < (r + 1) * n; ++i) {
          const float g = static_cast<float>(gp[i]), u = static_cast<float>(up_p[i]);
          const float d = static_cast<float>(dyp[i]), s = sigmoid(g);
          dgp[i] = static_cast<scalar_t>(d * u * s * (1.0f + g * (1.0f - s)));
          dup_p[i] = static_cast<scalar_t>(d * g * s);
        }
      });
    });
    return {dgate, dup};
  }
};

// Turns each head's halves (a, b) into (a cos - s b sin, b cos + s a sin); direction s = -1 undoes
// it.
at::Tensor rotate(const at::Tensor& x_in, const at::Tensor& cos, const at::Tensor& sin,
                  float direction) {
  const at::Tensor x = x_in.contiguous();
  at::Tensor y = at::empty_like(x);
  const std::int64_t rows = x.size(0), width = x.size(1), half = cos.size(1);
  const float* cp = cos.const_data_ptr<float>();
  const float* sp = sin.const_data_ptr<float>();
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x.scalar_type(), "apply_rope", [&] {
    const scalar_t* xp = x.const_data_ptr<scalar_t>();
    scalar_t* yp = y.mutable_data_ptr<scalar_t>();
    for_each_row(rows, width, [&](std::int64_t r) {
      const float *c = cp + r * half, *s = sp + r * half;
      for (std::int64_t head = r * width; head < (r + 1) * width; head += 2 * half)
        for (std::int64_t i = 0; i < half; ++i) {
          const float a = static_cast<float>(xp[head + i]);
          const float b = static_cast<float>(xp[head + half + i]);
          yp[head + i] = static_cast<scalar_t>(a * c[i] - direction * b * s[i]);
          yp[head + half + i] = static_cast<scalar_t>(b * c[i] + direction * a * s[i]);
        }
    });
  });
  return y;
}

struct ApplyRope : Function<ApplyRope> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& cos,
                            const at::Tensor& sin) {
    ctx->save_for_backward({cos, sin});
    return rotate(x, cos, sin, 1.0f);
  }

  static Output backward(AutogradContext* ctx, const Output& grads) {
    const auto saved = ctx->get_saved_variables();
    return {rotate(grads[0], saved[0], saved[1], -1.0f), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  if (x.is_cpu()) return RmsNorm::apply(x, weight, eps);
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor normed = wide * at::rsqrt(wide.pow(2).mean(-1, true) + eps);
  return normed.to(x.scalar_type()) * weight;
}

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) {
  if (gate.is_cpu()) return SwiGlu::apply(gate, up);
  return at::silu(gate) * up;
}

at::Tensor apply_rope(const at::Tensor& x, const Rotation& rotation) {
  if (x.is_cpu()) return ApplyRope::apply(x, rotation.cos, rotation.sin);
  const std::int64_t half = rotation.cos.size(1);
  const auto halves = x.view({x.size(0), -1, 2, half}).unbind(2);
  const at::Tensor c = rotation.cos.unsqueeze(1), s = rotation.sin.unsqueeze(1);
  const at::Tensor turned =
      at::cat({halves[0] * c - halves[1] * s, halves[1] * c + halves[0] * s}, -1);
  return turned.to(x.scalar_type()).view(x.sizes());
}

}  // namespace reflect
