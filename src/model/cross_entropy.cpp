#include "reflect/model/cross_entropy.h"

#include <ATen/ops/empty.h>

#include <cmath>

#include "gpu_kernels.h"
#include "kernel.h"
#include "lanes.h"

namespace reflect {

namespace {

// log sum exp of a row. Lanes past the end load as 0 and are not counted. A row that is not finite
// gives NaN: exp is clamped, so its sum would hide it.
template <class T>
float log_sum_exp(const T* x, std::int64_t n) {
  const float top = lanes::largest(x, n);
  const std::int64_t whole = n - n % lanes::kWidth;
  float sum = lanes::sum(
      whole, [&](std::int64_t i, std::int64_t) { return lanes::exp(lanes::load(x + i) - top); });
  for (std::int64_t i = whole; i < n; ++i) sum += std::exp(static_cast<float>(x[i]) - top);
  const float poison = lanes::sum(
      n, [&](std::int64_t i, std::int64_t count) { return lanes::load(x + i, count) * 0.0f; });
  return top + std::log(sum) + poison;
}

template <class T>
void gradient_row(T* x, std::int64_t n, std::int64_t target, float log_sum, float weight) {
  const float at_target = static_cast<float>(x[target]);
  lanes::for_each(n, [&](std::int64_t i, std::int64_t count) {
    lanes::store(x + i, weight * lanes::exp(lanes::load(x + i, count) - log_sum), count);
  });
  x[target] = static_cast<T>(weight * (std::exp(at_target - log_sum) - 1.0f));
}

at::Tensor nll_on_cpu(const at::Tensor& logits, const at::Tensor& targets, const float* weights) {
  const std::int64_t rows = logits.size(0), vocab = logits.size(1);
  at::Tensor nll = at::empty({rows}, logits.options().dtype(at::kFloat));
  const std::int64_t* target = targets.const_data_ptr<std::int64_t>();
  float* out = nll.mutable_data_ptr<float>();
  by_type(logits.scalar_type(), "cross_entropy", [&]<class T>() {
    T* x = static_cast<T*>(logits.data_ptr());
    for_each_row(rows, vocab, [&](std::int64_t r) {
      T* row = x + r * vocab;
      const float log_sum = log_sum_exp(row, vocab);
      out[r] = log_sum - static_cast<float>(row[target[r]]);
      if (weights != nullptr) gradient_row(row, vocab, target[r], log_sum, weights[r]);
    });
  });
  return nll;
}

}  // namespace

at::Tensor target_nll(const at::Tensor& logits, const at::Tensor& targets) {
  const at::Tensor rows = logits.contiguous(), each = targets.contiguous();
  return logits.is_cpu() ? nll_on_cpu(rows, each, nullptr) : gpu::nll(rows, each, std::nullopt);
}

at::Tensor target_nll_and_gradient_(at::Tensor& logits, const at::Tensor& targets,
                                    const at::Tensor& weights) {
  const at::Tensor each = targets.contiguous(), weight = weights.contiguous();
  if (!logits.is_cpu()) return gpu::nll(logits, each, weight);
  return nll_on_cpu(logits, each, weight.const_data_ptr<float>());
}

}  // namespace reflect
