#include "reflect/model/llama.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/bernoulli.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>

#include "attention.h"
#include "dense.h"
#include "elementwise.h"
#include "reflect/base/error.h"
#include "reflect/base/random.h"
#include "rope.h"

namespace reflect {

namespace {

// Everything that a decoder block needs besides its weights and its input.
struct BlockContext {
  const LlamaConfig& config;
  const PackedRows& rows;
  const Rotation& rotation;
  const ForwardOptions& options;
  std::int64_t layer;
};

// x with elements zeroed with probability p and the rest scaled by 1 / (1 - p). The mask is a pure
// function of the step's key, the layer and the projection.
at::Tensor dropped_out(const at::Tensor& x, const LoraDropout& dropout, std::int64_t layer,
                       Projection p) {
  const std::uint64_t key =
      random_key(dropout.key, "lora-dropout",
                 {static_cast<std::uint64_t>(layer), static_cast<std::uint64_t>(p)});
  auto generator = at::make_generator<at::CPUGeneratorImpl>(key);
  const double keep = 1.0 - dropout.probability;
  const at::Tensor mask = at::bernoulli(at::empty_like(x, at::kCPU), keep, generator);
  return x * mask.to(x.device()) / keep;
}

// One projection of the block, with its adapter where there is one.
at::Tensor project(const at::Tensor& x, const BlockWeights& weights, Projection p,
                   const BlockContext& block) {
  const Adapter* adapter = block.options.adapter;
  if (adapter == nullptr || !adapter->blocks[block.layer][p]) return dense(x, weights[p]);
  LoraBranch branch{*adapter->blocks[block.layer][p], adapter->config.scale(), {}};
  if (adapter->dropout && adapter->dropout->probability > 0)
    branch.dropped = dropped_out(x, *adapter->dropout, block.layer, p);
  return dense_with_lora(x, weights[p], branch);
}

at::Tensor attend(const at::Tensor& x, const BlockWeights& weights, const BlockContext& block) {
  const LlamaConfig& c = block.config;
  const at::Tensor q = apply_rope(project(x, weights, Projection::kQ, block), block.rotation);
  const at::Tensor k = apply_rope(project(x, weights, Projection::kK, block), block.rotation);
  const at::Tensor v = project(x, weights, Projection::kV, block);
  const AttentionShape shape{c.num_attention_heads, c.num_key_value_heads, c.head_dim,
                             c.sliding_window};
  KvCache* cache = block.options.cache;
  const at::Tensor mixed = cache ? cached_attention(q, k, v, block.rows, shape, *cache, block.layer)
                                 : attention(q, k, v, block.rows, shape);
  return project(mixed, weights, Projection::kO, block);
}

at::Tensor feed_forward(const at::Tensor& x, const BlockWeights& weights,
                        const BlockContext& block) {
  const at::Tensor gate = project(x, weights, Projection::kGate, block);
  const at::Tensor up = project(x, weights, Projection::kUp, block);
  return project(swiglu(gate, up), weights, Projection::kDown, block);
}

// x [T, hidden] -> [T, hidden]: pre-norm attention and pre-norm SwiGLU, each added to its input.
at::Tensor decoder_block(const at::Tensor& x, const BlockWeights& weights,
                         const BlockContext& block) {
  const double eps = block.config.rms_norm_eps;
  const at::Tensor mid = x + attend(rms_norm(x, weights.input_norm, eps), weights, block);
  return mid + feed_forward(rms_norm(mid, weights.post_attention_norm, eps), weights, block);
}

void check_rows(const PackedRows& rows, const LlamaConfig& config, const ForwardOptions& options) {
  for (std::int64_t r = 0; r < rows.rows(); ++r) {
    const std::int64_t past = rows.past.empty() ? 0 : rows.past[r];
    const std::int64_t length = past + rows.offsets[r + 1] - rows.offsets[r];
    const std::int64_t limit =
        options.cache ? std::min(config.max_position_embeddings, options.cache->max_tokens())
                      : config.max_position_embeddings;
    if (length > limit)
      fail("llama", "row {} of the batch has {} tokens, the window has {}; shorten it", r, length,
           limit);
  }
}

}  // namespace

Llama::Llama(LlamaConfig config, std::shared_ptr<WeightSource> weights, Runtime runtime)
    : config_(std::move(config)),
      weights_(std::move(weights)),
      runtime_(runtime),
      inverse_frequency_(inverse_frequency(config_, runtime.device)) {}

at::Tensor Llama::hidden(const at::Tensor& ids, const PackedRows& rows,
                         const ForwardOptions& options) const {
  check_rows(rows, config_, options);
  const Rotation rotation = rotation_of(rows, inverse_frequency_);
  at::Tensor x = at::embedding(weights_->embedding(), ids.to(runtime_.device));
  for (std::int64_t layer = 0; layer < config_.num_hidden_layers; ++layer)
    x = decoder_block(x, weights_->block(layer), {config_, rows, rotation, options, layer});
  return rms_norm(x, weights_->final_norm(), config_.rms_norm_eps);
}

at::Tensor Llama::logits(const at::Tensor& hidden) const {
  return dense(hidden, weights_->lm_head());
}

std::unique_ptr<Llama> load_llama(const std::string& folder, const Runtime& runtime) {
  LlamaConfig config = read_llama_config(folder);
  auto weights = std::make_shared<ResidentWeights>(folder, config, runtime);
  return std::make_unique<Llama>(std::move(config), std::move(weights), runtime);
}

}  // namespace reflect
