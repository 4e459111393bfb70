// Where a model's frozen weights come from, block by block. The decoder never knows how they are
// stored or placed: sharding, quantising and offloading are other sources.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reflect/dist/process_group.h"
#include "reflect/model/llama_config.h"
#include "reflect/model/runtime.h"
#include "reflect/model/safetensors.h"

namespace reflect {

enum class Projection { kQ, kK, kV, kO, kGate, kUp, kDown };
inline constexpr std::array<Projection, 7> kProjections = {
    Projection::kQ,    Projection::kK,  Projection::kV,   Projection::kO,
    Projection::kGate, Projection::kUp, Projection::kDown};
std::string_view name_of(Projection projection);       // "q_proj", ...
Projection projection_named(const std::string& name);  // Error (usage) that lists the known names

// [out, in] of a projection.
std::pair<std::int64_t, std::int64_t> shape_of(const LlamaConfig& config, Projection projection);

// The weights of one decoder block. A projection is [out, in], a norm [hidden].
struct BlockWeights {
  at::Tensor input_norm;
  at::Tensor post_attention_norm;
  std::array<at::Tensor, 7> projections;  // indexed by Projection
  const at::Tensor& operator[](Projection p) const { return projections[static_cast<int>(p)]; }
  at::Tensor& operator[](Projection p) { return projections[static_cast<int>(p)]; }
};

// Slice `index` of `count` equal ones that every projection is cut into (tensor_parallel.h).
struct Slice {
  std::int64_t index = 0, count = 1;
};

class WeightSource {
 public:
  virtual ~WeightSource() = default;
  // Valid until another block, the embedding or the output matrix is asked for.
  virtual BlockWeights block(std::int64_t layer) = 0;
  virtual at::Tensor embedding() = 0;   // [vocab, hidden]
  virtual at::Tensor final_norm() = 0;  // [hidden]
  virtual at::Tensor lm_head() = 0;     // [vocab, hidden]; the embedding itself where tied
  // Whether a block's tensors stay as they are for the source's life. Where not, the backward pass
  // asks for each block again, last block first, once or for each of its projections.
  virtual bool lasting() const = 0;
  // Of a base that ranks hold together while each makes passes of its own (Placement::own_passes):
  // this rank makes none for now. Takes part in those of the others until no rank makes any.
  virtual void leave() {}
  // The ranks that hold a slice of every projection each; of one where projections are whole.
  virtual ProcessGroup tensor_group() const { return {}; }
};

// Reads each weight from the checkpoint when it is asked for: memory holds one block at a time.
// What passes over a model once (the check of a merge) runs on it, however large the model.
class StreamedWeights : public WeightSource {
 public:
  StreamedWeights(const std::string& folder, const LlamaConfig& config, const Runtime& runtime);
  // Of every projection this slice.
  StreamedWeights(const std::string& folder, const LlamaConfig& config, const Runtime& runtime,
                  const Slice& slice);
  BlockWeights block(std::int64_t layer) override;
  at::Tensor embedding() override;
  at::Tensor final_norm() override;
  at::Tensor lm_head() override;
  bool lasting() const override { return false; }
  bool tied() const;  // lm_head() is the embedding

  // A tensor as it is stored, checked to have this shape: a view of the mapped file, valid while
  // this object lives.
  at::Tensor stored(const std::string& name, const std::vector<std::int64_t>& shape) const;
  // Input norm and post-attention norm.
  std::pair<at::Tensor, at::Tensor> norms(std::int64_t layer) const;
  at::Tensor stored_projection(std::int64_t layer, Projection projection) const;  // whole

 private:
  using Shape = std::vector<std::int64_t>;
  at::Tensor load(const std::string& name, const Shape& shape) const;
  at::Tensor loaded(const at::Tensor& mapped) const;

  std::string folder_;
  LlamaConfig config_;
  Runtime runtime_;
  Slice slice_;
  Checkpoint checkpoint_;
};

// All weights in memory, whole or in slices, in one dtype.
class ResidentWeights : public WeightSource {
 public:
  // Copies from the checkpoint in `folder`, tensor by tensor; this rank's slice of each projection
  // where ranks compute together.
  ResidentWeights(const std::string& folder, const LlamaConfig& config, const Runtime& runtime,
                  ProcessGroup tensor_group = {});
  // Random weights: N(0, initializer_range), the output matrices of a block scaled by
  // 1/sqrt(2 layers).
  ResidentWeights(const LlamaConfig& config, const Runtime& runtime, std::uint64_t seed);

  BlockWeights block(std::int64_t layer) override { return blocks_[layer]; }
  at::Tensor embedding() override { return embedding_; }
  at::Tensor final_norm() override { return final_norm_; }
  at::Tensor lm_head() override { return lm_head_; }
  bool lasting() const override { return true; }
  ProcessGroup tensor_group() const override { return tensor_group_; }

  // All tensors under their checkpoint names. Tied weights come once; the tensors are the stored
  // ones.
  std::vector<NamedTensor> named();

 private:
  LlamaConfig config_;
  ProcessGroup tensor_group_;
  std::vector<BlockWeights> blocks_;
  at::Tensor embedding_, final_norm_, lm_head_;
};

}  // namespace reflect
