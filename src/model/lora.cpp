#include "reflect/model/lora.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>

#include "checkpoint_names.h"
#include "reflect/base/error.h"
#include "reflect/base/random.h"
#include "reflect/model/product.h"

namespace reflect {

namespace {

// Uniform in [-bound, bound) with bound = 1 / sqrt(in), which is what kaiming_uniform(a = sqrt 5)
// comes to for a matrix [rank, in].
at::Tensor kaiming_uniform(std::int64_t rank, std::int64_t in, std::uint64_t key) {
  at::Tensor a = at::empty({rank, in}, at::kFloat);
  const double bound = 1.0 / std::sqrt(static_cast<double>(in));
  Random random(key);
  float* values = a.data_ptr<float>();
  for (std::int64_t i = 0; i < a.numel(); ++i)
    values[i] = static_cast<float>(bound * (2.0 * random.uniform() - 1.0));
  return a;
}

}  // namespace

double LoraConfig::scale() const {
  const double r = static_cast<double>(rank);
  return alpha / (rslora ? std::sqrt(r) : r);
}

Projection projection_named(const std::string& name) {
  for (Projection p : kProjections)
    if (name_of(p) == name) return p;
  fail_usage("lora",
             "no projection '{}'; known: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, "
             "down_proj",
             name);
}

Adapter Adapter::fresh(const LlamaConfig& model, const LoraConfig& config, std::uint64_t seed) {
  if (config.rank < 1) fail_usage("lora", "lora.rank is {}; it must be at least 1", config.rank);
  if (config.dropout < 0 || config.dropout >= 1)
    fail_usage("lora", "lora.dropout is {}; it must be in [0, 1)", config.dropout);
  if (config.targets.empty()) fail_usage("lora", "lora.targets is empty; name at least one");
  Adapter adapter{config, std::vector<BlockAdapter>(model.num_hidden_layers), {}};
  for (const std::string& target : config.targets) {
    const Projection p = projection_named(target);
    const auto [out, in] = shape_of(model, p);
    for (std::int64_t layer = 0; layer < model.num_hidden_layers; ++layer) {
      const std::uint64_t key = random_key(
          seed, "lora-a", {static_cast<std::uint64_t>(layer), static_cast<std::uint64_t>(p)});
      adapter.blocks[layer][p] = LoraPair{kaiming_uniform(config.rank, in, key),
                                          at::zeros({out, config.rank}, at::kFloat)};
    }
  }
  return adapter;
}

// |W + s B A|^2 = |W|^2 + 2 s B (W A^T) + s^2 B (A A^T) B^T by rows: no matrix as large as W.
at::Tensor row_norms(const at::Tensor& maybe_packed, const LoraPair& pair, double scale) {
  const at::NoGradGuard no_grad;
  const at::Tensor weight = maybe_packed.is_mkldnn() ? maybe_packed.to_dense() : maybe_packed;
  const at::Tensor norm = at::linalg_vector_norm(weight, 2, {1}, false, at::kFloat);
  const at::Tensor cross = product(weight, pair.a.to(weight.scalar_type()).t()).to(at::kFloat);
  const at::Tensor own = at::mm(pair.b, at::mm(pair.a, pair.a.t()));
  const at::Tensor added = (pair.b * (cross * (2 * scale) + own * (scale * scale))).sum(1);
  return (norm * norm + added).clamp_min(0).sqrt();
}

void Adapter::take_magnitudes(WeightSource& base) {
  if (!config.dora) return;
  for (std::size_t layer = 0; layer < blocks.size(); ++layer) {
    const BlockWeights weights = base.block(static_cast<std::int64_t>(layer));
    for (const Projection p : kProjections)
      if (auto& pair = blocks[layer][p])
        pair->magnitude = at::linalg_vector_norm(weights[p], 2, {1}, false, at::kFloat);
  }
}

void Adapter::move_to(const at::Device& device) {
  for (BlockAdapter& block : blocks)
    for (std::optional<LoraPair>& pair : block.pairs)
      if (pair)
        for (at::Tensor* tensor : {&pair->a, &pair->b, &pair->magnitude})
          if (tensor->defined()) *tensor = tensor->to(device);
}

std::vector<NamedTensor> Adapter::named() const {
  std::vector<NamedTensor> all;
  for (std::size_t layer = 0; layer < blocks.size(); ++layer)
    for (Projection p : kProjections)
      if (const auto& pair = blocks[layer][p]) {
        const auto index = static_cast<std::int64_t>(layer);
        all.push_back({checkpoint_names::lora(index, p, 'A'), pair->a});
        all.push_back({checkpoint_names::lora(index, p, 'B'), pair->b});
        if (pair->magnitude.defined())
          all.push_back({checkpoint_names::magnitude(index, p), pair->magnitude});
      }
  return all;
}

}  // namespace reflect
