// The Llama decoder on packed rows: rows lie end to end, attention never crosses a border.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "reflect/model/base_storage.h"
#include "reflect/model/kv_cache.h"
#include "reflect/model/llama_config.h"
#include "reflect/model/lora.h"
#include "reflect/model/runtime.h"
#include "reflect/model/token_tables.h"
#include "reflect/model/weights.h"

namespace reflect {

// Row r of a packed batch owns tokens [offsets[r], offsets[r + 1]); its first token stands at
// position past[r] (0 without a cache). A row with a parent continues that earlier row: it stands
// behind it and sees it and all that it continues, so texts that begin alike are a tree in which
// the common beginning is computed once.
struct PackedRows {
  std::vector<std::int64_t> offsets;      // [rows + 1]
  std::vector<std::int64_t> past;         // [rows]; empty: all 0
  std::vector<std::int64_t> slots;        // [rows] cache slot of each row; empty: no cache
  std::vector<std::int64_t> parent = {};  // [rows] below r, or -1; empty: all -1; not with a cache
  std::int64_t rows() const { return static_cast<std::int64_t>(offsets.size()) - 1; }
  std::int64_t tokens() const { return offsets.back(); }
  std::int64_t length(std::int64_t r) const { return offsets[r + 1] - offsets[r]; }
  std::vector<std::int64_t> first_positions() const;  // [rows] of each row's first token
};

// What a forward pass keeps for its backward pass: every activation (none); all but the outputs of
// norms and of SwiGLU, which cost no matrix product to make again (selective); or the input of each
// block, which is then computed a second time (block). Weights that do not stay in memory
// (WeightSource::lasting) are asked for again under each; auto is block for them, else none. Losses
// and gradients are the same bits.
enum class Recompute { kAuto, kNone, kSelective, kBlock };
Recompute recompute_named(const std::string& name);  // "auto", ...; else Error (usage)
std::string_view name_of(Recompute recompute);

// How a forward pass runs. Adapter and cache must outlive its gradients.
struct ForwardOptions {
  const Adapter* adapter = nullptr;
  KvCache* cache = nullptr;  // rows.slots says which slot each row reads and extends
  Recompute recompute = Recompute::kAuto;
  // [N] (int64, of ids): only these tokens' hidden states, [N, hidden]; what the last block
  // computes behind its attention is computed for them alone. Without gradients. Undefined: of all.
  at::Tensor wanted = {};
};

class Llama {
 public:
  Llama(LlamaConfig config, std::shared_ptr<WeightSource> weights, Runtime runtime);

  // Final hidden states (after the last norm) [T, hidden] of ids [T] (int64), in the model's dtype.
  // Gradients flow to adapter and weights that require them; the model must outlive them. Ranks
  // that compute together (WeightSource::tensor_group) get the same states; their gradients are
  // added up, and what reaches the adapter are terms of a sum over them. Throws Error when a row is
  // longer than max_position_embeddings.
  at::Tensor hidden(const at::Tensor& ids, const PackedRows& rows,
                    const ForwardOptions& options = {}) const;
  // Logits [N, vocab] of hidden states [N, hidden], in the model's dtype. `adapter` is the one that
  // they were made with.
  at::Tensor logits(const at::Tensor& hidden, const Adapter* adapter = nullptr) const;
  // The output matrix with the adapter's part: what makes logits, and what a loss is computed from.
  OutputHead head(const Adapter* adapter) const;

  const LlamaConfig& config() const { return config_; }
  WeightSource& weights() const { return *weights_; }
  const Runtime& runtime() const { return runtime_; }  // dtype and device of ids and results

 private:
  LlamaConfig config_;
  LlamaConfig own_;  // of what this rank computes
  std::shared_ptr<WeightSource> weights_;
  Runtime runtime_;
  at::Tensor inverse_frequency_;  // of RoPE, [head_dim / 2]
};

// Config, weights and decoder of a checkpoint folder.
std::unique_ptr<Llama> load_llama(const std::string& folder, const Runtime& runtime,
                                  const BaseConfig& base, const Placement& placement);
// The same with all of the base in this process.
std::unique_ptr<Llama> load_llama(const std::string& folder, const Runtime& runtime,
                                  const BaseConfig& base = {});

}  // namespace reflect
