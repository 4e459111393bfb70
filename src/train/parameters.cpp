#include "reflect/train/parameters.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>

namespace reflect {
namespace {

// Numbers between the starts of two tensors are a multiple of this: 64 bytes in bf16.
constexpr std::int64_t kAlignment = 32;

std::int64_t aligned(std::int64_t size) {
  return (size + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

ParameterBuffer::ParameterBuffer(const std::vector<NamedTensor>& tensors,
                                 at::ScalarType compute_dtype) {
  const at::NoGradGuard no_grad;
  for (const auto& [name, tensor] : tensors)
    parameters_.push_back({name, tensor, 0, tensor.numel()});
  std::stable_partition(parameters_.begin(), parameters_.end(),
                        [](const Parameter& p) { return p.tensor.dim() >= 2; });
  std::int64_t total = 0;
  for (Parameter& parameter : parameters_) {
    parameter.begin = total;
    total += aligned(parameter.size);
    if (parameter.tensor.dim() >= 2) matrices_end_ = total;
  }
  const at::TensorOptions options = parameters_.front().tensor.options();
  values_ = at::zeros({total}, options.dtype(at::kFloat));
  gradients_ = at::zeros_like(values_);
  const bool same = compute_dtype == at::kFloat;
  compute_values_ = same ? values_ : at::zeros({total}, options.dtype(compute_dtype));
  compute_gradients_ = same ? gradients_ : at::zeros_like(compute_values_);
  for (Parameter& parameter : parameters_) {
    at::Tensor& tensor = parameter.tensor;
    view(values_, parameter).copy_(tensor);
    tensor.set_data(view(compute_values_, parameter));
    tensor.requires_grad_(true);
    tensor.mutable_grad() = view(compute_gradients_, parameter);
  }
  publish_values();
}

std::int64_t ParameterBuffer::count() const {
  std::int64_t numbers = 0;
  for (const Parameter& parameter : parameters_) numbers += parameter.size;
  return numbers;
}

at::Tensor ParameterBuffer::view(const at::Tensor& flat, const Parameter& parameter) const {
  return flat.narrow(0, parameter.begin, parameter.size).view(parameter.tensor.sizes());
}

void ParameterBuffer::zero_gradients() {
  gradients_.zero_();
  if (!compute_gradients_.is_same(gradients_)) compute_gradients_.zero_();
}

void ParameterBuffer::collect_gradients() {
  if (compute_gradients_.is_same(gradients_)) return;
  gradients_.add_(compute_gradients_);
  compute_gradients_.zero_();
}

void ParameterBuffer::publish_values() {
  const at::NoGradGuard no_grad;
  if (!compute_values_.is_same(values_)) compute_values_.copy_(values_);
}

double ParameterBuffer::gradient_norm() const {
  double sum = 0;  // of squares, in double: one fp32 sum over all tensors loses digits
  for (const Parameter& parameter : parameters_) {
    const at::Tensor gradient = gradients_.narrow(0, parameter.begin, parameter.size);
    const double norm = at::linalg_vector_norm(gradient).item<double>();
    sum += norm * norm;
  }
  return std::sqrt(sum);
}

void ParameterBuffer::clip_gradients(double norm, double max_norm) {
  if (norm > max_norm) gradients_.mul_(max_norm / (norm + 1e-6));
}

}  // namespace reflect
