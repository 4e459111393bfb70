// LoRA adapters (Hu et al. 2021, arXiv 2106.09685): y = x W^T + s (x A^T) B^T, s = alpha / rank, or
// alpha / sqrt(rank) with rsLoRA (arXiv 2312.03732), and each output scaled with DoRA (Liu et al.
// 2024, arXiv 2402.09353); read and written in PEFT's folder format.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

#include "reflect/model/weights.h"

namespace reflect {

struct LoraConfig {
  std::int64_t rank = 16;
  double alpha = 32;
  double dropout = 0;
  bool rslora = false;
  bool dora = false;
  double plus_ratio = 1;
  std::vector<std::string> targets = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                      "gate_proj", "up_proj", "down_proj"};
  double scale() const;
  void visit(auto& v) {
    v("rank", rank, "Rank r of the two factors.");
    v("alpha", alpha, "Scale numerator: the branch is multiplied by alpha / r.");
    v("dropout", dropout, "Dropout on the branch's input while training.");
    v("rslora", rslora, "Scale by alpha / sqrt(r) instead.");
    v("dora", dora, "DoRA: train the norm of each row of the adapted weights, too.");
    v("plus_ratio", plus_ratio, "LoRA+: learning rate of B (and of DoRA's norms) over that of A.");
    v("targets", targets, "Projections that get an adapter.");
  }
};

struct LoraPair {
  at::Tensor a;  // [rank, in], fp32
  at::Tensor b;  // [out, rank], fp32
  // DoRA: [out] fp32, what the norm of each row of W + s B A is scaled to; else undefined.
  at::Tensor magnitude = {};
};

// Norm of each row of W + s B A: [out] fp32, without a gradient (section 4.3 of DoRA). `weight`
// [out, in].
at::Tensor row_norms(const at::Tensor& weight, const LoraPair& pair, double scale);

struct BlockAdapter {
  std::array<std::optional<LoraPair>, 7> pairs;  // indexed by Projection
  const std::optional<LoraPair>& operator[](Projection p) const {
    return pairs[static_cast<int>(p)];
  }
  std::optional<LoraPair>& operator[](Projection p) { return pairs[static_cast<int>(p)]; }
};

// Whether a tensor that Adapter::named names gets LoRA+'s rate: a B or a magnitude.
bool is_lora_output(const std::string& name);

// Dropout of one training step; the mask of a projection is a pure function of key, layer and
// projection. Absent when not training.
struct LoraDropout {
  double probability = 0;
  std::uint64_t key = 0;
};

struct Adapter {
  LoraConfig config;
  std::vector<BlockAdapter> blocks;
  std::optional<LoraDropout> dropout;

  // A ~ kaiming uniform (a = sqrt 5) as PEFT does it, B = 0; a pure function of the seed. DoRA's
  // magnitudes are left out: see take_magnitudes.
  static Adapter fresh(const LlamaConfig& model, const LoraConfig& config, std::uint64_t seed);
  // With DoRA, starts every magnitude at the norms of the base's rows. Asks for each block once.
  void take_magnitudes(WeightSource& base);
  void move_to(const at::Device& device);
  // All tensors under their checkpoint names (PEFT's:
  // "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight").
  std::vector<NamedTensor> named() const;
};

// Reads adapter_config.json and adapter_model.safetensors; shapes are checked against `model`.
Adapter read_adapter(const std::string& folder, const LlamaConfig& model,
                     const at::Device& device = at::kCPU);
// Writes both so that PEFT loads them. `base_model` is recorded as the base's name or path.
void write_adapter(const std::string& folder, const Adapter& adapter,
                   const std::string& base_model);

}  // namespace reflect
