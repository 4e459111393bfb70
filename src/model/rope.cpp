#include "rope.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>

#include <numbers>
#include <vector>

namespace reflect {

namespace {

at::Tensor llama3_scaled(const at::Tensor& frequency, const RopeScaling& s) {
  const double original = static_cast<double>(s.original_max_position_embeddings);
  const at::Tensor wavelength = 2.0 * std::numbers::pi / frequency;
  const at::Tensor smooth =
      (original / wavelength - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
  const at::Tensor low = frequency / s.factor;
  const at::Tensor blended = (1.0 - smooth) * low + smooth * frequency;
  const at::Tensor is_low = wavelength > original / s.low_freq_factor;
  const at::Tensor is_high = wavelength < original / s.high_freq_factor;
  return at::where(is_low, low, at::where(is_high, frequency, blended));
}

}  // namespace

at::Tensor inverse_frequency(const LlamaConfig& config, const at::Device& device) {
  const at::Tensor even = at::arange(0, config.head_dim, 2, at::kFloat);
  const at::Tensor frequency =
      1.0 / at::pow(config.rope_theta, even / static_cast<double>(config.head_dim));
  const RopeScaling& scaling = config.rope_scaling;
  switch (scaling.type) {
    case RopeScaling::Type::kNone:
      return frequency.to(device);
    case RopeScaling::Type::kLinear:
      return (frequency / scaling.factor).to(device);
    case RopeScaling::Type::kLlama3:
      return llama3_scaled(frequency, scaling).to(device);
  }
  return frequency.to(device);
}

Rotation rotation_of(const PackedRows& rows, const at::Tensor& inverse_frequency) {
  std::vector<float> positions;
  positions.reserve(rows.tokens());
  const std::vector<std::int64_t> first = rows.first_positions();
  for (std::int64_t r = 0; r < rows.rows(); ++r)
    for (std::int64_t i = 0; i < rows.length(r); ++i)
      positions.push_back(static_cast<float>(first[r] + i));
  const at::Tensor column = at::tensor(positions).to(inverse_frequency.device()).unsqueeze(1);
  const at::Tensor angles = column * inverse_frequency.unsqueeze(0);
  return {angles.cos(), angles.sin()};
}

}  // namespace reflect
