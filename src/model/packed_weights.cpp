#include "packed_weights.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "checkpoint_names.h"
#include "dense.h"
#include "reflect/base/mapped_pages.h"

namespace reflect {

namespace {

class PackedWeights : public WeightSource {
 public:
  PackedWeights(const std::string& folder, const LlamaConfig& config, const Runtime& runtime) {
    StreamedWeights source(folder, config, runtime);
    const at::Tensor buffer = at::empty({largest_matrix(config)}, runtime.dtype);
    embedding_ = source.embedding();
    for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
      BlockWeights& block = blocks_.emplace_back();
      std::tie(block.input_norm, block.post_attention_norm) = source.norms(layer);
      for (const Projection p : kProjections)
        block[p] = packed(source.stored_projection(layer, p), buffer);
    }
    final_norm_ = source.final_norm();
    lm_head_ = source.tied() ? embedding_
                             : packed(source.stored(checkpoint_names::kLmHead,
                                                    {config.vocab_size, config.hidden_size}),
                                      buffer);
  }

  BlockWeights block(std::int64_t layer) override { return blocks_[layer]; }
  at::Tensor embedding() override { return embedding_; }
  at::Tensor final_norm() override { return final_norm_; }
  at::Tensor lm_head() override { return lm_head_; }
  bool lasting() const override { return true; }

 private:
  static std::int64_t largest_matrix(const LlamaConfig& config) {
    std::int64_t largest = config.vocab_size * config.hidden_size;
    for (const Projection p : kProjections) {
      const auto [out, in] = shape_of(config, p);
      largest = std::max(largest, out * in);
    }
    return largest;
  }

  // One buffer for all, since a copy that comes and goes for each matrix leaves holes in the heap.
  static at::Tensor packed(const at::Tensor& stored, const at::Tensor& buffer) {
    const at::Tensor copy = buffer.narrow(0, 0, stored.numel()).view(stored.sizes());
    const at::Tensor result = packed_weight(copy.copy_(stored));
    drop_mapped_pages(stored.const_data_ptr(), stored.nbytes());
    return result;
  }

  std::vector<BlockWeights> blocks_;
  at::Tensor embedding_, final_norm_, lm_head_;
};

class PackedAsAsked : public WeightSource {
 public:
  PackedAsAsked(std::shared_ptr<WeightSource> source, bool tied)
      : source_(std::move(source)), tied_(tied) {}

  BlockWeights block(std::int64_t layer) override {
    BlockWeights block = source_->block(layer);
    for (at::Tensor& projection : block.projections) projection = packed_weight(projection);
    return block;
  }
  at::Tensor embedding() override {
    lm_head_.reset();
    return source_->embedding();
  }
  at::Tensor final_norm() override { return source_->final_norm(); }
  at::Tensor lm_head() override {
    if (tied_) return source_->lm_head();
    if (!lm_head_.defined()) lm_head_ = packed_weight(source_->lm_head());  // for the whole pass
    return lm_head_;
  }
  bool lasting() const override { return false; }
  void leave() override { source_->leave(); }

 private:
  std::shared_ptr<WeightSource> source_;
  bool tied_;
  at::Tensor lm_head_;
};

}  // namespace

bool can_pack_weights(const Runtime& runtime) {
  if (!runtime.device.is_cpu()) return false;
  if (runtime.dtype == at::kFloat) return true;
  return runtime.dtype == at::kBFloat16 && __builtin_cpu_supports("avx512bf16");
}

std::shared_ptr<WeightSource> load_packed_weights(const std::string& folder,
                                                  const LlamaConfig& config,
                                                  const Runtime& runtime) {
  return std::make_shared<PackedWeights>(folder, config, runtime);
}

std::shared_ptr<WeightSource> packed_as_asked(std::shared_ptr<WeightSource> source, bool tied) {
  return std::make_shared<PackedAsAsked>(std::move(source), tied);
}

}  // namespace reflect
