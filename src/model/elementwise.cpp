#include "elementwise.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "gpu_kernels.h"
#include "kernel.h"
#include "lanes.h"

namespace reflect {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;
using Output = variable_list;

template <class T>
void rms_norm_row(const T* x, const T* weight, T* y, std::int64_t n, double eps, float& rstd) {
  const float mean = lanes::dot(x, x, n) / static_cast<float>(n);
  rstd = 1.0f / std::sqrt(mean + static_cast<float>(eps));
  lanes::for_each(n, [&](std::int64_t i, std::int64_t count) {
    T normed[lanes::kWidth];  // rounded to the model's type before the weight, as the reference
                              // does
    lanes::store(normed, lanes::load(x + i, count) * rstd);
    lanes::store(y + i, lanes::load(normed) * lanes::load(weight + i, count), count);
  });
}

// dx = rstd * (w dy - xhat mean(w dy xhat)) with xhat = x rstd.
template <class T>
void rms_norm_row_backward(const T* dy, const T* x, const T* weight, T* dx, std::int64_t n,
                           float rstd) {
  const auto scaled = [&](std::int64_t i, std::int64_t count) {
    return lanes::load(dy + i, count) * lanes::load(weight + i, count);
  };
  const float dot = lanes::sum(n, [&](std::int64_t i, std::int64_t count) {
    return scaled(i, count) * lanes::load(x + i, count);
  });
  const float mean = dot * rstd * rstd / static_cast<float>(n);
  lanes::for_each(n, [&](std::int64_t i, std::int64_t count) {
    const lanes::Floats each = scaled(i, count) - lanes::load(x + i, count) * mean;
    lanes::store(dx + i, rstd * each, count);
  });
}

// a + b, rounded; `sum` may be either.
template <class T>
void add_rows(const T* a, const T* b, T* sum, std::int64_t n) {
  lanes::for_each(n, [&](std::int64_t i, std::int64_t count) {
    lanes::store(sum + i, lanes::load(a + i, count) + lanes::load(b + i, count), count);
  });
}

struct Normed {
  at::Tensor y, rstd;  // [T, H], and 1 / root mean square [T] in fp32
};

Normed empty_normed(const at::Tensor& x) {
  return {at::empty_like(x), at::empty({x.size(0)}, x.options().dtype(at::kFloat))};
}

Normed normed_rows(const at::Tensor& x, const at::Tensor& weight, double eps) {
  if (!x.is_cpu()) {
    auto [y, rstd] = gpu::rms_norm(x, weight, eps);
    return {std::move(y), std::move(rstd)};
  }
  const std::int64_t rows = x.size(0), n = x.size(1);
  Normed normed = empty_normed(x);
  by_type(x.scalar_type(), "rms_norm", [&]<class T>() {
    const T* xp = x.const_data_ptr<T>();
    const T* wp = weight.const_data_ptr<T>();
    T* yp = normed.y.mutable_data_ptr<T>();
    float* rp = normed.rstd.mutable_data_ptr<float>();
    for_each_row(rows, n,
                 [&](std::int64_t r) { rms_norm_row(xp + r * n, wp, yp + r * n, n, eps, rp[r]); });
  });
  return normed;
}

// Of x + residual, which goes to `sum`; that may be x.
Normed normed_sums(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& sum,
                   const at::Tensor& weight, double eps) {
  if (!x.is_cpu()) {
    auto [y, rstd] = gpu::add_rms_norm(x, residual, sum, weight, eps);
    return {std::move(y), std::move(rstd)};
  }
  const std::int64_t rows = x.size(0), n = x.size(1);
  Normed normed = empty_normed(x);
  by_type(x.scalar_type(), "add_rms_norm", [&]<class T>() {
    const T* xp = x.const_data_ptr<T>();
    const T* residual_p = residual.const_data_ptr<T>();
    const T* wp = weight.const_data_ptr<T>();
    T* sp = sum.mutable_data_ptr<T>();
    T* yp = normed.y.mutable_data_ptr<T>();
    float* rp = normed.rstd.mutable_data_ptr<float>();
    for_each_row(rows, n, [&](std::int64_t r) {
      add_rows(xp + r * n, residual_p + r * n, sp + r * n, n);
      rms_norm_row(sp + r * n, wp, yp + r * n, n, eps, rp[r]);
    });
  });
  return normed;
}

// The gradient of x, and `dsum` added to it where that is defined.
at::Tensor normed_rows_backward(const at::Tensor& dy, const at::Tensor& dsum, const at::Tensor& x,
                                const at::Tensor& weight, const at::Tensor& rstd) {
  if (!x.is_cpu()) return gpu::rms_norm_backward(dy, dsum, x, weight, rstd);
  const std::int64_t rows = x.size(0), n = x.size(1);
  at::Tensor dx = at::empty_like(x);
  by_type(x.scalar_type(), "rms_norm_backward", [&]<class T>() {
    const T* dyp = dy.const_data_ptr<T>();
    const T* dsum_p = dsum.defined() ? dsum.const_data_ptr<T>() : nullptr;
    const T* xp = x.const_data_ptr<T>();
    const T* wp = weight.const_data_ptr<T>();
    T* dxp = dx.mutable_data_ptr<T>();
    const float* rp = rstd.const_data_ptr<float>();
    for_each_row(rows, n, [&](std::int64_t r) {
      rms_norm_row_backward(dyp + r * n, xp + r * n, wp, dxp + r * n, n, rp[r]);
      if (dsum_p != nullptr) add_rows(dxp + r * n, dsum_p + r * n, dxp + r * n, n);
    });
  });
  return dx;
}

// Of the norm's weight.
at::Tensor norm_weight_gradient(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                                const at::Tensor& rstd) {
  const at::Tensor normed = x.to(at::kFloat) * rstd.unsqueeze(1);
  return (dy.to(at::kFloat) * normed).sum(0).to(weight.scalar_type());
}

struct RmsNorm : Function<RmsNorm> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x_in, const at::Tensor& weight,
                            double eps) {
    const at::Tensor x = x_in.contiguous();
    Normed normed = normed_rows(x, weight, eps);
    ctx->save_for_backward({x, weight, normed.rstd});
    return normed.y;
  }

  static Output backward(AutogradContext* ctx, const Output& grads) {
    const auto saved = ctx->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &rstd = saved[2];
    const at::Tensor dy = grads[0].contiguous();
    at::Tensor dw;
    if (ctx->needs_input_grad(1)) dw = norm_weight_gradient(dy, x, weight, rstd);
    return {normed_rows_backward(dy, {}, x, weight, rstd), dw, at::Tensor()};
  }
};

struct AddRmsNorm : Function<AddRmsNorm> {
  static Output forward(AutogradContext* ctx, const at::Tensor& x_in, const at::Tensor& residual_in,
                        const at::Tensor& weight, double eps) {
    const at::Tensor x = x_in.contiguous(), residual = residual_in.contiguous();
    const at::Tensor sum = at::empty_like(x);
    const Normed normed = normed_sums(x, residual, sum, weight, eps);
    ctx->save_for_backward({sum, weight, normed.rstd});
    return {sum, normed.y};
  }

  static Output backward(AutogradContext* ctx, const Output& grads) {
    const auto saved = ctx->get_saved_variables();
    const at::Tensor &sum = saved[0], &weight = saved[1], &rstd = saved[2];
    const at::Tensor dsum = grads[0].contiguous(), dy = grads[1].contiguous();
    at::Tensor dw;
    if (ctx->needs_input_grad(2)) dw = norm_weight_gradient(dy, sum, weight, rstd);
    const at::Tensor dx = normed_rows_backward(dy, dsum, sum, weight, rstd);
    return {dx, dx, dw, at::Tensor()};
  }
};

at::Tensor gated(const at::Tensor& gate, const at::Tensor& up) {
  if (!gate.is_cpu()) return gpu::swiglu(gate, up);
  at::Tensor y = at::empty_like(gate);
  const std::int64_t rows = gate.size(0), n = gate.size(1);
  by_type(gate.scalar_type(), "swiglu", [&]<class T>() {
    const T* gp = gate.const_data_ptr<T>();
    const T* up_p = up.const_data_ptr<T>();
    T* yp = y.mutable_data_ptr<T>();
    for_each_row(rows, n, [&](std::int64_t r) {
      lanes::for_each(n, [&](std::int64_t i, std::int64_t count) {
        const std::int64_t at = r * n + i;
        const lanes::Floats g = lanes::load(gp + at, count);
        lanes::store(yp + at, g * lanes::sigmoid(g) * lanes::load(up_p + at, count), count);
      });
    });
  });
  return y;
}

// The gradients of gate and up.
std::pair<at::Tensor, at::Tensor> gated_backward(const at::Tensor& dy, const at::Tensor& gate,
                                                 const at::Tensor& up) {
  if (!gate.is_cpu()) return gpu::swiglu_backward(dy, gate, up);
  at::Tensor dgate = at::empty_like(gate), dup = at::empty_like(up);
  const std::int64_t rows = gate.size(0), n = gate.size(1);
  by_type(gate.scalar_type(), "swiglu_backward", [&]<class T>() {
    const T* gp = gate.const_data_ptr<T>();
    const T* up_p = up.const_data_ptr<T>();
    const T* dyp = dy.const_data_ptr<T>();
    T* dgp = dgate.mutable_data_ptr<T>();
    T* dup_p = dup.mutable_data_ptr<T>();
    for_each_row(rows, n, [&](std::int64_t r) {
      lanes::for_each(n, [&](std::int64_t i, std::int64_t count) {
        const std::int64_t at = r * n + i;
        const lanes::Floats g = lanes::load(gp + at, count), u = lanes::load(up_p + at, count);
        const lanes::Floats d = lanes::load(dyp + at, count), s = lanes::sigmoid(g);
        lanes::store(dgp + at, d * u * s * (1.0f + g * (1.0f - s)), count);
        lanes::store(dup_p + at, d * g * s, count);
      });
    });
  });
  return {std::move(dgate), std::move(dup)};
}

struct SwiGlu : Function<SwiGlu> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& gate, const at::Tensor& up) {
    ctx->save_for_backward({gate, up});
    return gated(gate, up);
  }

  static Output backward(AutogradContext* ctx, const Output& grads) {
    const auto saved = ctx->get_saved_variables();
    const at::Tensor &gate = saved[0], &up = saved[1];
    auto [dgate, dup] = gated_backward(grads[0].contiguous(), gate, up);
    return {dgate, dup};
  }
};

// Turns each head's halves (a, b) into (a cos - s b sin, b cos + s a sin); direction s = -1 undoes
// it.
at::Tensor rotate(const at::Tensor& x_in, const at::Tensor& cos, const at::Tensor& sin,
                  float direction) {
  const at::Tensor x = x_in.contiguous();
  if (!x.is_cpu()) return gpu::rotate(x, cos, sin, direction);
  at::Tensor y = at::empty_like(x);
  const std::int64_t rows = x.size(0), width = x.size(1), half = cos.size(1);
  const float* cp = cos.const_data_ptr<float>();
  const float* sp = sin.const_data_ptr<float>();
  by_type(x.scalar_type(), "apply_rope", [&]<class T>() {
    const T* xp = x.const_data_ptr<T>();
    T* yp = y.mutable_data_ptr<T>();
    for_each_row(rows, width, [&](std::int64_t r) {
      const float *c = cp + r * half, *s = sp + r * half;
      for (std::int64_t head = r * width; head < (r + 1) * width; head += 2 * half)
        lanes::for_each(half, [&](std::int64_t i, std::int64_t count) {
          const lanes::Floats a = lanes::load(xp + head + i, count);
          const lanes::Floats b = lanes::load(xp + head + half + i, count);
          const lanes::Floats ci = lanes::load(c + i, count);
          const lanes::Floats si = direction * lanes::load(s + i, count);
          lanes::store(yp + head + i, a * ci - b * si, count);
          lanes::store(yp + head + half + i, b * ci + a * si, count);
        });
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
  if (!at::GradMode::is_enabled()) return normed_rows(x.contiguous(), weight, eps).y;
  return RmsNorm::apply(x, weight, eps);
}

SumAndNorm add_rms_norm(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& weight,
                        double eps) {
  if (at::GradMode::is_enabled()) {
    const Output both = AddRmsNorm::apply(x, residual, weight, eps);
    return {both[0], both[1]};
  }
  const at::Tensor rows = x.contiguous();
  at::Tensor sum = at::empty_like(rows);
  at::Tensor norm = normed_sums(rows, residual.contiguous(), sum, weight, eps).y;
  return {std::move(sum), std::move(norm)};
}

at::Tensor add_rms_norm_(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& weight,
                         double eps) {
  return normed_sums(x, residual.contiguous(), x, weight, eps).y;
}

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) {
  if (!at::GradMode::is_enabled()) return gated(gate, up);
  return SwiGlu::apply(gate, up);
}

at::Tensor apply_rope(const at::Tensor& x, const Rotation& rotation) {
  if (!at::GradMode::is_enabled()) return rotate(x, rotation.cos, rotation.sin, 1.0f);
  return ApplyRope::apply(x, rotation.cos, rotation.sin);
}

}  // namespace reflect
