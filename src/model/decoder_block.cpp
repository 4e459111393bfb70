#include "decoder_block.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>

#include "attention.h"
#include "dense.h"
#include "dropout.h"
#include "reflect/base/random.h"
#include "reflect/model/tensor_parallel.h"

namespace reflect {

namespace {

// A block's weights beside the pass that they serve.
struct Block {
  const BlockWeights& weights;
  const DecoderPass& pass;
  std::int64_t layer;

  // The ranks that hold some columns of a projection each.
  ProcessGroup columns(Projection p) const {
    return is_cut_by_input(p) ? pass.tensor_group : ProcessGroup();
  }
};

// What projections are of.
struct Input {
  at::Tensor x;
  TensorAgain again = {};  // where x is not to be kept for the gradient
};

// make(of...) again for the gradient, where the pass wants it.
template <class Make, class... Tensors>
TensorAgain again_of(const Block& block, const Make& make, const Tensors&... of) {
  if (!block.pass.remakes_inputs || !at::GradMode::is_enabled()) return {};
  return [make, ... of = of.detach()] {
    const at::NoGradGuard no_grad;
    return make(of...);
  };
}

// `norm` is the RMSNorm of x.
Input norm_input(const at::Tensor& norm, const at::Tensor& x, const at::Tensor& weight,
                 const Block& block) {
  const auto make = [eps = block.pass.config.rms_norm_eps](const at::Tensor& of,
                                                           const at::Tensor& by) {
    return rms_norm(of, by, eps);
  };
  return {copied_to_ranks(norm, block.pass.tensor_group), again_of(block, make, x, weight)};
}

Input normed(const at::Tensor& x, const at::Tensor& weight, const Block& block) {
  return norm_input(rms_norm(x, weight, block.pass.config.rms_norm_eps), x, weight, block);
}

std::uint64_t dropout_key(const LoraDropout& dropout, std::int64_t layer, Projection p) {
  return random_key(dropout.key, "lora-dropout",
                    {static_cast<std::uint64_t>(layer), static_cast<std::uint64_t>(p)});
}

// What the gradient of a projection makes again: its input as that says, its weight where that does
// not stay.
MadeAgain made_again(const Input& input, Projection p, const Block& block) {
  MadeAgain again{.input = input.again};
  if (block.pass.source != nullptr)
    again.weight = [source = block.pass.source, layer = block.layer, p] {
      return source->block(layer)[p];
    };
  return again;
}

// This rank's slice of a projection, or its term of the sum over the ranks that hold its columns;
// with its adapter where there is one.
at::Tensor project_slice(const Input& input, Projection p, const Block& block) {
  const Adapter* adapter = block.pass.adapter;
  const MadeAgain again = made_again(input, p, block);
  if (adapter == nullptr || !adapter->blocks[block.layer][p])
    return dense(input.x, block.weights[p], again);
  const LoraPair pair =
      sliced(*adapter->blocks[block.layer][p], p, slice_of(block.pass.tensor_group));
  LoraBranch branch{pair, adapter->config.scale(), {}, again, block.columns(p)};
  const auto& dropout = block.pass.dropout;
  if (dropout && dropout->probability > 0) {
    const auto drop = [p = dropout->probability, key = dropout_key(*dropout, block.layer, p),
                       columns = slice_of(branch.columns)](const at::Tensor& x) {
      return dropped_out(x, p, key, columns);
    };
    branch.dropped = drop(input.x);
    if (input.again) branch.again.input = [again = input.again, drop] { return drop(again()); };
  }
  return dense_with_lora(input.x, block.weights[p], branch);
}

at::Tensor project(const Input& input, Projection p, const Block& block) {
  return sum_of_ranks(project_slice(input, p, block), block.columns(p));
}

// Rows `wanted` of x; all where it is undefined.
at::Tensor wanted_rows(const at::Tensor& x, const at::Tensor& wanted) {
  return wanted.defined() ? x.index_select(0, wanted) : x;
}

at::Tensor attend(const Input& x, const Block& block, const at::Tensor& wanted) {
  const LlamaConfig& c = block.pass.config;
  const Rotation& rotation = block.pass.rotation;
  const at::Tensor q = apply_rope(project(x, Projection::kQ, block), rotation);
  const at::Tensor k = apply_rope(project(x, Projection::kK, block), rotation);
  const at::Tensor v = project(x, Projection::kV, block);
  const AttentionShape shape{c.num_attention_heads, c.num_key_value_heads, c.head_dim,
                             c.sliding_window};
  KvCache* cache = block.pass.cache;
  const PackedRows& rows = block.pass.rows;
  const at::Tensor mixed = cache ? cached_attention(q, k, v, rows, shape, *cache, block.layer)
                                 : attention(q, k, v, rows, shape, block.pass.offsets);
  return project({wanted_rows(mixed, wanted)}, Projection::kO, block);
}

at::Tensor feed_forward(const Input& x, const Block& block) {
  const at::Tensor gate = project(x, Projection::kGate, block);
  const at::Tensor up = project(x, Projection::kUp, block);
  return project({swiglu(gate, up), again_of(block, swiglu, gate, up)}, Projection::kDown, block);
}

// x += residual, then x += feed_forward(norm(x)), some tokens at a time: what is as wide as the
// intermediate size stays in the processor's cache from one product to the next, and in memory it
// is small.
void add_feed_forward_(const at::Tensor& x, const at::Tensor& residual, const Block& block) {
  constexpr std::int64_t kTokens = 512;
  const std::int64_t tokens = x.size(0), step = x.is_cpu() ? kTokens : tokens;
  for (std::int64_t begin = 0; begin < tokens; begin += step) {
    const std::int64_t count = std::min(step, tokens - begin);
    const at::Tensor part = x.narrow(0, begin, count), &weight = block.weights.post_attention_norm;
    const at::Tensor norm = add_rms_norm_(part, residual.narrow(0, begin, count), weight,
                                          block.pass.config.rms_norm_eps);
    part.add_(feed_forward(norm_input(norm, part, weight, block), block));
  }
}

}  // namespace

at::Tensor decoder_block(const at::Tensor& x, const BlockWeights& weights, const DecoderPass& pass,
                         std::int64_t layer, const at::Tensor& wanted) {
  const Block block{weights, pass, layer};
  const at::Tensor mixed = attend(normed(x, weights.input_norm, block), block, wanted);
  const at::Tensor residual = wanted_rows(x, wanted);
  if (c10::InferenceMode::is_enabled()) {
    add_feed_forward_(mixed, residual, block);
    return mixed;
  }
  const at::Tensor& weight = weights.post_attention_norm;
  const auto [mid, norm] = add_rms_norm(residual, mixed, weight, pass.config.rms_norm_eps);
  return mid + feed_forward(norm_input(norm, mid, weight, block), block);
}

}  // namespace reflect
