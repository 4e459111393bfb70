#include "reflect/model/lora.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "checkpoint_names.h"
#include "reflect/base/error.h"
#include "reflect/base/random.h"
#include "reflect/model/product.h"
#include "reflect/model/tensor_parallel.h"

namespace reflect {

namespace {

at::Tensor norms_of_rows(const at::Tensor& weight) {
  return at::linalg_vector_norm(weight, 2, {1}, false, at::kFloat);
}

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
             "down_proj, lm_head",
             name);
}

std::int64_t LoraConfig::token_count() const {
  const std::size_t count = token_ids.empty() ? trainable_tokens.size() : token_ids.size();
  return static_cast<std::int64_t>(count);
}

bool LoraConfig::has_target(std::string_view name) const {
  return std::ranges::find(targets, name) != targets.end();
}

TokenRows token_rows_of(const LlamaConfig& model, const LoraConfig& config) {
  const auto count = static_cast<std::int64_t>(config.token_ids.size());
  std::set<std::int64_t> seen;
  for (const std::int64_t id : config.token_ids) {
    if (id < 0 || id >= model.vocab_size)
      fail_usage("lora", "lora.trainable_tokens: the model has no token {}; its ids end at {}", id,
                 model.vocab_size - 1);
    if (!seen.insert(id).second)
      fail_usage("lora", "lora.trainable_tokens: token {} comes twice", id);
  }
  const bool head = config.has_target(kHeadTarget), tied = model.tie_word_embeddings;
  if (head && tied)
    fail_usage("lora",
               "this model's output matrix is its embedding, whose rows lora.trainable_tokens "
               "trains; leave lm_head out of lora.targets");
  const auto rows = [&] { return at::zeros({count, model.hidden_size}, at::kFloat); };
  return {at::tensor(config.token_ids), rows(), head || tied ? at::Tensor() : rows(), tied};
}

std::vector<AdaptedMatrix> Adapter::matrices(const LlamaConfig& model, const std::string& target) {
  const auto layers = static_cast<std::int64_t>(blocks.size());
  if (target == kHeadTarget)
    return {{checkpoint_names::kHeadModule, model.vocab_size, model.hidden_size,
             static_cast<std::uint64_t>(layers), 0, &head}};
  const Projection p = projection_named(target);
  const auto [out, in] = shape_of(model, p);
  std::vector<AdaptedMatrix> all;
  for (std::int64_t layer = 0; layer < layers; ++layer)
    all.push_back({checkpoint_names::module_of(layer, p), out, in,
                   static_cast<std::uint64_t>(layer), static_cast<std::uint64_t>(p),
                   &blocks[static_cast<std::size_t>(layer)][p]});
  return all;
}

Adapter Adapter::fresh(const LlamaConfig& model, const LoraConfig& config, std::uint64_t seed) {
  if (config.rank < 1) fail_usage("lora", "lora.rank is {}; it must be at least 1", config.rank);
  if (config.dropout < 0 || config.dropout >= 1)
    fail_usage("lora", "lora.dropout is {}; it must be in [0, 1)", config.dropout);
  if (config.targets.empty()) fail_usage("lora", "lora.targets is empty; name at least one");
  Adapter adapter{config, std::vector<BlockAdapter>(model.num_hidden_layers), {}};
  for (const std::string& target : config.targets)
    for (const AdaptedMatrix& matrix : adapter.matrices(model, target)) {
      const std::uint64_t key = random_key(seed, "lora-a", {matrix.layer, matrix.projection});
      *matrix.pair = LoraPair{kaiming_uniform(config.rank, matrix.in, key),
                              at::zeros({matrix.out, config.rank}, at::kFloat)};
    }
  if (!config.token_ids.empty()) adapter.rows = token_rows_of(model, config);
  return adapter;
}

// |W + s B A|^2 = |W|^2 + 2 s B (W A^T) + s^2 B (A A^T) B^T by rows: no matrix as large as W.
at::Tensor row_norms(const at::Tensor& maybe_packed, const LoraPair& pair, double scale,
                     ProcessGroup columns) {
  const at::NoGradGuard no_grad;
  const at::Tensor weight = maybe_packed.is_mkldnn() ? maybe_packed.to_dense() : maybe_packed;
  const at::Tensor norm = norms_of_rows(weight);
  const at::Tensor cross = product(weight, pair.a.to(weight.scalar_type()).t()).to(at::kFloat);
  const at::Tensor own = at::mm(pair.b, at::mm(pair.a, pair.a.t()));
  const at::Tensor added = (pair.b * (cross * (2 * scale) + own * (scale * scale))).sum(1);
  const at::Tensor squares = norm * norm + added;
  columns.all_reduce(squares);
  return squares.clamp_min(0).sqrt();
}

namespace {

// |W| of each row, of which the ranks of the group hold a slice each.
at::Tensor norms_of_slices(const at::Tensor& slice, Projection p, ProcessGroup group) {
  const at::Tensor norm = norms_of_rows(slice);
  if (group.size() == 1) return norm;
  const std::int64_t rows = norm.size(0) * (is_cut_by_input(p) ? 1 : group.size());
  const at::Tensor squares = at::zeros({rows}, norm.options());
  (is_cut_by_input(p) ? squares : sliced(squares, p, slice_of(group))).copy_(norm * norm);
  group.all_reduce(squares);
  return squares.sqrt();
}

}  // namespace

// In the order of a pass, which is the cheapest where weights are gathered.
void Adapter::take_base(WeightSource& base) {
  const at::NoGradGuard no_grad;
  const auto take_rows = [&](const at::Tensor& table, const at::Tensor& values) {
    values.copy_(table.index_select(0, rows->ids));
  };
  if (rows) take_rows(base.embedding(), rows->embedding);
  for (std::size_t layer = 0; layer < blocks.size() && config.dora; ++layer) {
    const BlockWeights weights = base.block(static_cast<std::int64_t>(layer));
    for (const Projection p : kProjections)
      if (auto& pair = blocks[layer][p])
        pair->magnitude = norms_of_slices(weights[p], p, base.tensor_group());
  }
  const bool own_rows = rows && rows->lm_head.defined();
  if (!own_rows && !(head && config.dora)) return;
  const at::Tensor output = base.lm_head();
  if (own_rows) take_rows(output, rows->lm_head);
  if (head && config.dora) head->magnitude = norms_of_rows(output);
}

void Adapter::for_each_tensor(const std::function<void(at::Tensor&)>& use) {
  const auto use_pair = [&](std::optional<LoraPair>& pair) {
    if (!pair) return;
    for (at::Tensor* tensor : {&pair->a, &pair->b, &pair->magnitude})
      if (tensor->defined()) use(*tensor);
  };
  for (BlockAdapter& block : blocks)
    for (std::optional<LoraPair>& pair : block.pairs) use_pair(pair);
  use_pair(head);
  if (!rows) return;
  use(rows->embedding);
  if (rows->lm_head.defined()) use(rows->lm_head);
}

void Adapter::move_to(const at::Device& device) {
  for_each_tensor([&](at::Tensor& tensor) { tensor = tensor.to(device); });
  if (rows) rows->ids = rows->ids.to(device);
}

std::vector<NamedTensor> Adapter::named() const {
  std::vector<NamedTensor> all;
  const auto add = [&](const std::string& module, const LoraPair& pair) {
    all.push_back({checkpoint_names::lora(module, 'A'), pair.a});
    all.push_back({checkpoint_names::lora(module, 'B'), pair.b});
    if (pair.magnitude.defined())
      all.push_back({checkpoint_names::magnitude(module), pair.magnitude});
  };
  for (std::size_t layer = 0; layer < blocks.size(); ++layer)
    for (Projection p : kProjections)
      if (const auto& pair = blocks[layer][p])
        add(checkpoint_names::module_of(static_cast<std::int64_t>(layer), p), *pair);
  if (head) add(checkpoint_names::kHeadModule, *head);
  if (!rows) return all;
  all.push_back(
      {checkpoint_names::token_rows(checkpoint_names::kEmbeddingModule), rows->embedding});
  if (rows->lm_head.defined())
    all.push_back({checkpoint_names::token_rows(checkpoint_names::kHeadModule), rows->lm_head});
  return all;
}

}  // namespace reflect
