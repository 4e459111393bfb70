#include "reflect/model/llama.h"

#include <ATen/core/grad_mode.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "attention.h"
#include "decoder_block.h"
#include "packed_weights.h"
#include "reflect/base/error.h"
#include "reflect/model/forward.h"
#include "reflect/model/tensor_parallel.h"
#include "rope.h"

namespace reflect {

namespace {

// In the order of Recompute.
constexpr std::array<std::string_view, 4> kRecomputeNames = {"auto", "none", "selective", "block"};

void check_rows(const PackedRows& rows, const LlamaConfig& config, const ForwardOptions& options) {
  if (options.cache && !rows.parent.empty())
    fail("llama",
         "rows that continue each other cannot use a cache; leave PackedRows::parent empty");
  const std::vector<std::int64_t> first = rows.first_positions();
  for (std::int64_t r = 0; r < rows.rows(); ++r) {
    const std::int64_t length = first[r] + rows.length(r);
    const std::int64_t limit =
        options.cache ? std::min(config.max_position_embeddings, options.cache->max_tokens())
                      : config.max_position_embeddings;
    if (length > limit)
      fail("llama", "row {} of the batch has {} tokens, the window has {}; shorten it", r, length,
           limit);
  }
}

const TokenRows* rows_of(const Adapter* adapter) {
  return adapter != nullptr && adapter->rows ? &*adapter->rows : nullptr;
}

bool recomputes(Recompute choice, bool weights_last) {
  return choice == Recompute::kBlock || (choice == Recompute::kAuto && !weights_last);
}

// Norms, unlike projections, are kept for the gradient.
BlockWeights with_own_norms(BlockWeights weights) {
  weights.input_norm = weights.input_norm.clone();
  weights.post_attention_norm = weights.post_attention_norm.clone();
  return weights;
}

}  // namespace

Recompute recompute_named(const std::string& name) {
  const auto found = std::ranges::find(kRecomputeNames, name);
  if (found == kRecomputeNames.end())
    fail_usage("llama", "no recomputation '{}'; known: {}", name, fmt::join(kRecomputeNames, ", "));
  return static_cast<Recompute>(found - kRecomputeNames.begin());
}

std::string_view name_of(Recompute recompute) {
  return kRecomputeNames.at(static_cast<std::size_t>(recompute));
}

std::vector<std::int64_t> PackedRows::first_positions() const {
  std::vector<std::int64_t> first = past;
  first.resize(rows(), 0);
  for (std::int64_t r = 0; r < rows() && !parent.empty(); ++r)
    if (const std::int64_t before = parent[r]; before >= 0)
      first[r] = first[before] + length(before);
  return first;
}

Llama::Llama(LlamaConfig config, std::shared_ptr<WeightSource> weights, Runtime runtime)
    : config_(std::move(config)),
      own_(sliced(config_, weights->tensor_group().size())),
      weights_(std::move(weights)),
      runtime_(runtime),
      inverse_frequency_(inverse_frequency(config_, runtime.device)) {}

at::Tensor Llama::hidden(const at::Tensor& ids, const PackedRows& rows,
                         const ForwardOptions& options) const {
  check_rows(rows, config_, options);
  const bool with_gradient = at::GradMode::is_enabled() && !options.cache;
  const bool recompute = with_gradient && recomputes(options.recompute, weights_->lasting());
  const bool asks_again = with_gradient && !recompute && !weights_->lasting();
  const Adapter* adapter = options.adapter;
  const auto pass = std::make_shared<const DecoderPass>(
      DecoderPass{own_, rows, rotation_of(rows, inverse_frequency_), adapter,
                  adapter ? adapter->dropout : std::nullopt, options.cache,
                  options.recompute == Recompute::kSelective, asks_again ? weights_.get() : nullptr,
                  offsets_on(runtime_.device, rows), weights_->tensor_group()});
  at::Tensor x =
      in_terms_of_ranks(embedded(weights_->embedding(), ids.to(runtime_.device), rows_of(adapter)),
                        pass->tensor_group);
  const std::int64_t last = config_.num_hidden_layers - 1;
  for (std::int64_t layer = 0; layer <= last; ++layer) {
    if (recompute) {
      x = recomputed_block(x, *weights_, pass, layer);
      continue;
    }
    const BlockWeights weights = weights_->block(layer);
    x = decoder_block(x, asks_again ? with_own_norms(weights) : weights, *pass, layer,
                      layer == last ? options.wanted : at::Tensor());
  }
  return copied_to_ranks(rms_norm(x, weights_->final_norm(), config_.rms_norm_eps),
                         pass->tensor_group);
}

OutputHead Llama::head(const Adapter* adapter) const {
  return {weights_->lm_head(), adapter};
}

at::Tensor Llama::logits(const at::Tensor& hidden, const Adapter* adapter) const {
  return head(adapter).logits(hidden);
}

std::unique_ptr<Llama> load_llama(const std::string& folder, const Runtime& runtime,
                                  const BaseConfig& base, const Placement& placement) {
  LlamaConfig config = read_llama_config(folder);
  auto weights = load_weights(folder, config, runtime, base, placement);
  return std::make_unique<Llama>(std::move(config), std::move(weights), runtime);
}

std::unique_ptr<Llama> load_llama(const std::string& folder, const Runtime& runtime,
                                  const BaseConfig& base) {
  const Placement replicated;
  return load_llama(folder, runtime, base, replicated);
}

std::unique_ptr<Llama> load_forward_llama(const std::string& folder, const Runtime& runtime,
                                          const BaseConfig& base, const Placement& placement) {
  if (base.storage != "dtype" || !can_pack_weights(runtime))
    return load_llama(folder, runtime, base, placement);
  LlamaConfig config = read_llama_config(folder);
  auto weights = placement.config.placement == "replicate"
                     ? load_packed_weights(folder, config, runtime)
                     : packed_as_asked(load_weights(folder, config, runtime, base, placement),
                                       StreamedWeights(folder, config, runtime).tied());
  return std::make_unique<Llama>(std::move(config), std::move(weights), runtime);
}

}  // namespace reflect
