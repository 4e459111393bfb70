#include "reflect/model/weights.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/normal.h>
#include <ATen/ops/ones.h>

#include <cmath>
#include <tuple>

#include "checkpoint_names.h"
#include "reflect/base/error.h"
#include "reflect/base/mapped_pages.h"
#include "reflect/base/random.h"
#include "reflect/model/tensor_parallel.h"

namespace reflect {

std::pair<std::int64_t, std::int64_t> shape_of(const LlamaConfig& c, Projection projection) {
  const std::int64_t query = c.num_attention_heads * c.head_dim;
  const std::int64_t key = c.num_key_value_heads * c.head_dim;
  switch (projection) {
    case Projection::kQ:
      return {query, c.hidden_size};
    case Projection::kK:
      return {key, c.hidden_size};
    case Projection::kV:
      return {key, c.hidden_size};
    case Projection::kO:
      return {c.hidden_size, query};
    case Projection::kGate:
      return {c.intermediate_size, c.hidden_size};
    case Projection::kUp:
      return {c.intermediate_size, c.hidden_size};
    case Projection::kDown:
      return {c.hidden_size, c.intermediate_size};
  }
  fail("model", "no projection {}", static_cast<int>(projection));
}

namespace {

at::Tensor random_normal(std::vector<std::int64_t> shape, double deviation, std::uint64_t key) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(key);
  return at::normal(0.0, deviation, shape, generator);
}

}  // namespace

StreamedWeights::StreamedWeights(const std::string& folder, const LlamaConfig& config,
                                 const Runtime& runtime)
    : StreamedWeights(folder, config, runtime, Slice{}) {}

StreamedWeights::StreamedWeights(const std::string& folder, const LlamaConfig& config,
                                 const Runtime& runtime, const Slice& slice)
    : folder_(folder), config_(config), runtime_(runtime), slice_(slice), checkpoint_(folder) {}

at::Tensor StreamedWeights::stored(const std::string& name, const Shape& shape) const {
  const at::Tensor tensor = checkpoint_.view(name);
  if (tensor.sizes() != at::IntArrayRef(shape))
    fail("checkpoint", "{}: '{}' has shape [{}], but config.json asks for [{}]", folder_, name,
         fmt::join(tensor.sizes(), ", "), fmt::join(shape, ", "));
  if (!tensor.is_floating_point())
    fail("checkpoint", "{}: '{}' is {}; floating point expected", folder_, name,
         c10::toString(tensor.scalar_type()));
  return tensor;
}

at::Tensor StreamedWeights::load(const std::string& name, const Shape& shape) const {
  const at::Tensor mapped = stored(name, shape);
  at::Tensor copy = loaded(mapped);
  drop_mapped_pages(mapped.const_data_ptr(), mapped.nbytes());
  return copy;
}

at::Tensor StreamedWeights::loaded(const at::Tensor& mapped) const {
  return mapped.to(at::TensorOptions().dtype(runtime_.dtype).device(runtime_.device),
                   /*non_blocking=*/false, /*copy=*/true);
}

std::pair<at::Tensor, at::Tensor> StreamedWeights::norms(std::int64_t layer) const {
  return {load(checkpoint_names::input_norm(layer), {config_.hidden_size}),
          load(checkpoint_names::post_attention_norm(layer), {config_.hidden_size})};
}

at::Tensor StreamedWeights::stored_projection(std::int64_t layer, Projection projection) const {
  const auto [out, in] = shape_of(config_, projection);
  return stored(checkpoint_names::projection(layer, projection), {out, in});
}

BlockWeights StreamedWeights::block(std::int64_t layer) {
  BlockWeights block;
  std::tie(block.input_norm, block.post_attention_norm) = norms(layer);
  for (Projection p : kProjections) {
    const at::Tensor mapped = stored_projection(layer, p);
    block[p] = loaded(sliced(mapped, p, slice_));
    drop_mapped_pages(mapped.const_data_ptr(), mapped.nbytes());
  }
  return block;
}

at::Tensor StreamedWeights::embedding() {
  return load(checkpoint_names::kEmbedding, {config_.vocab_size, config_.hidden_size});
}

at::Tensor StreamedWeights::final_norm() {
  return load(checkpoint_names::kFinalNorm, {config_.hidden_size});
}

at::Tensor StreamedWeights::lm_head() {
  if (tied()) return embedding();
  return load(checkpoint_names::kLmHead, {config_.vocab_size, config_.hidden_size});
}

bool StreamedWeights::tied() const {
  return config_.tie_word_embeddings || !checkpoint_.contains(checkpoint_names::kLmHead);
}

ResidentWeights::ResidentWeights(const std::string& folder, const LlamaConfig& config,
                                 const Runtime& runtime, ProcessGroup tensor_group)
    : config_(config), tensor_group_(std::move(tensor_group)) {
  StreamedWeights source(folder, config, runtime, slice_of(tensor_group_));
  embedding_ = source.embedding();
  for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer)
    blocks_.push_back(source.block(layer));
  final_norm_ = source.final_norm();
  lm_head_ = source.tied() ? embedding_ : source.lm_head();
}

ResidentWeights::ResidentWeights(const LlamaConfig& config, const Runtime& runtime,
                                 std::uint64_t seed)
    : config_(config) {
  const double deviation = config.initializer_range;
  const double output_deviation =
      deviation / std::sqrt(2.0 * static_cast<double>(config.num_hidden_layers));
  std::uint64_t index = 0;
  const auto matrix = [&](std::int64_t out, std::int64_t in, double spread) {
    const std::uint64_t key = random_key(seed, "initial-weights", {index++});
    return random_normal({out, in}, spread, key).to(runtime.device, runtime.dtype);
  };
  const auto norm = [&] {
    return at::ones({config.hidden_size},
                    at::TensorOptions().dtype(runtime.dtype).device(runtime.device));
  };
  embedding_ = matrix(config.vocab_size, config.hidden_size, deviation);
  for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    BlockWeights& block = blocks_.emplace_back();
    block.input_norm = norm();
    block.post_attention_norm = norm();
    for (Projection p : kProjections) {
      const auto [out, in] = shape_of(config, p);
      const bool ends_branch = p == Projection::kO || p == Projection::kDown;
      block[p] = matrix(out, in, ends_branch ? output_deviation : deviation);
    }
  }
  final_norm_ = norm();
  lm_head_ = config.tie_word_embeddings ? embedding_
                                        : matrix(config.vocab_size, config.hidden_size, deviation);
}

std::vector<NamedTensor> ResidentWeights::named() {
  namespace names = checkpoint_names;
  std::vector<NamedTensor> all = {{names::kEmbedding, embedding_}};
  for (std::int64_t layer = 0; layer < config_.num_hidden_layers; ++layer) {
    const BlockWeights& block = blocks_[layer];
    all.push_back({names::input_norm(layer), block.input_norm});
    for (Projection p : kProjections) all.push_back({names::projection(layer, p), block[p]});
    all.push_back({names::post_attention_norm(layer), block.post_attention_norm});
  }
  all.push_back({names::kFinalNorm, final_norm_});
  if (!lm_head_.is_same(embedding_)) all.push_back({names::kLmHead, lm_head_});
  return all;
}

}  // namespace reflect
