// Tensor parallelism (Shoeybi et al. 2019, arXiv 1909.08053): every projection of a frozen base is
// cut over the ranks of a group, which compute the same rows together.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>

#include "reflect/dist/process_group.h"
#include "reflect/model/llama_config.h"
#include "reflect/model/lora.h"
#include "reflect/model/weights.h"

namespace reflect {

// This rank's.
Slice slice_of(const ProcessGroup& group);

// The Llama that one of `ranks` computes: its heads, and its part of the intermediate size. Its
// projections are slices of the whole model's. Throws Error (usage) where they cannot be cut so.
LlamaConfig sliced(const LlamaConfig& model, std::int64_t ranks);

// The first projection that would be cut over `ranks` inside NF4's blocks of 64 weights, if any.
std::optional<Projection> cuts_nf4_blocks(const LlamaConfig& model, std::int64_t ranks);

// Throws Error (usage) where the projections of a base stored so (BaseConfig::storage) cannot be
// cut over `ranks`.
void require_cut(const LlamaConfig& model, const std::string& storage, std::int64_t ranks);
// The same, and where a machine's processes, `of_machine` (0: machines differ), cannot be groups of
// `ranks`.
void require_slices(const LlamaConfig& model, const std::string& storage, std::int64_t ranks,
                    std::int64_t of_machine);

// o and down are cut by input, the others by output.
bool is_cut_by_input(Projection projection);

// A view of a slice of a projection's weights [out, in], and of its adapter.
at::Tensor sliced(const at::Tensor& weight, Projection projection, const Slice& slice);
LoraPair sliced(const LoraPair& pair, Projection projection, const Slice& slice);

// x, the same on every rank of the group; its gradient becomes the sum of those of the ranks.
at::Tensor copied_to_ranks(const at::Tensor& x, const ProcessGroup& group);
// The sum of the ranks' x, which is overwritten; its gradient goes to every rank as it is.
at::Tensor sum_of_ranks(const at::Tensor& x, const ProcessGroup& group);
// x, the same on every rank of the group, as is its gradient, which each rank keeps an equal part
// of: the sum over the ranks is the gradient.
at::Tensor in_terms_of_ranks(const at::Tensor& x, const ProcessGroup& group);

}  // namespace reflect
