// LoRA adapters (Hu et al. 2021, arXiv 2106.09685): y = x W^T + s (x A^T) B^T, s = alpha / rank, or
// alpha / sqrt(rank) with rsLoRA (arXiv 2312.03732), and each output scaled with DoRA (Liu et al.
// 2024, arXiv 2402.09353); rows of the token tables that are trained beside them; read and written
// in PEFT's folder format.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
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
  std::vector<std::string> trainable_tokens = {};
  std::vector<std::int64_t> token_ids = {};  // what trainable_tokens are, distinct; not a setting
  double scale() const;
  bool has_target(std::string_view name) const;
  std::int64_t token_count() const;  // of token_ids, or of trainable_tokens where these are not set
  void visit(auto& v) {
    v("rank", rank, "Rank r of the two factors.");
    v("alpha", alpha, "Scale numerator: the branch is multiplied by alpha / r.");
    v("dropout", dropout, "Dropout on the branch's input while training.");
    v("rslora", rslora, "Scale by alpha / sqrt(r) instead.");
    v("dora", dora, "DoRA: train the norm of each row of the adapted weights, too.");
    v("plus_ratio", plus_ratio, "LoRA+: learning rate of B (and of DoRA's norms) over that of A.");
    v("targets", targets, "Projections that get an adapter; lm_head is one, too.");
    v("trainable_tokens", trainable_tokens,
      "Tokens (by text or id) whose rows of the embedding and, unless it is a target, of lm_head "
      "are trained themselves.");
  }
};

struct LoraPair {
  at::Tensor a;  // [rank, in], fp32
  at::Tensor b;  // [out, rank], fp32
  // DoRA: [out] fp32, what the norm of each row of W + s B A is scaled to; else undefined.
  at::Tensor magnitude = {};
};

// Norm of each row of W + s B A: [out] fp32, without a gradient (section 4.3 of DoRA). `weight`
// [out, in]; where the ranks of `columns` hold some of its and A's columns each, of the whole rows.
at::Tensor row_norms(const at::Tensor& weight, const LoraPair& pair, double scale,
                     ProcessGroup columns = {});

// Trained rows of the token tables, in place of the base's (peft: trainable_token_indices).
struct TokenRows {
  at::Tensor ids;           // [n] int64, distinct, in the order of the rows
  at::Tensor embedding;     // [n, hidden] fp32
  at::Tensor lm_head = {};  // the same of the output matrix, where it has rows of its own
  bool tied = false;        // the embedding's rows are the output matrix's, too
  // [n, hidden] of the output matrix; undefined where its rows are the base's.
  const at::Tensor& output() const { return tied ? embedding : lm_head; }
};

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

// Rows of zeros for config.token_ids of this model. Throws Error (usage) for an id that it does not
// have or that comes twice, and where tied rows meet an adapter on lm_head.
TokenRows token_rows_of(const LlamaConfig& model, const LoraConfig& config);

// One matrix [out, in] that a target names, and the place of its pair in an adapter.
struct AdaptedMatrix {
  std::string module;  // "model.layers.0.self_attn.q_proj", "lm_head"
  std::int64_t out = 0, in = 0;
  std::uint64_t layer = 0, projection = 0;  // what randomness is keyed by
  std::optional<LoraPair>* pair = nullptr;
};
inline constexpr const char* kHeadTarget = "lm_head";

struct Adapter {
  LoraConfig config;
  std::vector<BlockAdapter> blocks;
  std::optional<LoraDropout> dropout;
  std::optional<LoraPair> head = {};  // of lm_head
  std::optional<TokenRows> rows = {};

  // A ~ kaiming uniform (a = sqrt 5) as PEFT does it, B = 0; a pure function of the seed. What
  // starts at the base's values is left out: see take_base.
  static Adapter fresh(const LlamaConfig& model, const LoraConfig& config, std::uint64_t seed);
  // Starts token rows at the base's rows and DoRA's magnitudes at the norms of the base's rows.
  // Asks for the embedding, each block and the output matrix once, as far as they are needed.
  void take_base(WeightSource& base);
  void move_to(const at::Device& device);
  // The matrices that `target` (of LoraConfig::targets) names in this adapter's model: a place for
  // the pair of each. Throws Error (usage) for an unknown name.
  std::vector<AdaptedMatrix> matrices(const LlamaConfig& model, const std::string& target);
  // Calls use(at::Tensor&) for every trained tensor that is there.
  void for_each_tensor(const std::function<void(at::Tensor&)>& use);
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
