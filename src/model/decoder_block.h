// One decoder block as a function of its input, its weights and what the whole pass shares.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>

#include "elementwise.h"
#include "reflect/model/llama.h"

namespace reflect {

// What all blocks of one pass share. Configuration, adapter and cache belong to the caller and
// outlive the pass and its gradients; the dropout is a copy, since the next pass draws another.
struct DecoderPass {
  const LlamaConfig& config;  // of what this rank computes
  PackedRows rows;
  Rotation rotation;
  const Adapter* adapter = nullptr;
  std::optional<LoraDropout> dropout;
  KvCache* cache = nullptr;
  // For the gradient, the outputs of norms and of SwiGLU are not kept but made again.
  bool remakes_inputs = false;
  // For the gradient, projections are not kept but asked for again here. Null: they stay.
  WeightSource* source = nullptr;
  at::Tensor offsets = {};         // offsets_on of the rows
  ProcessGroup tensor_group = {};  // the ranks that compute the blocks together
};

// x [T, hidden] -> [T, hidden]: pre-norm attention and pre-norm SwiGLU, each added to its input; of
// the tokens `wanted` [N] (int64) alone, [N, hidden], where it is defined.
at::Tensor decoder_block(const at::Tensor& x, const BlockWeights& weights, const DecoderPass& pass,
                         std::int64_t layer, const at::Tensor& wanted = {});

// The same without anything kept for the gradient but x: neither activations nor weights. The
// backward pass asks `source` for the weights again and repeats the block (Chen et al. 2016, arXiv
// 1604.06174). Equal to decoder_block bit by bit, gradients included, as dropout is a function of
// its key. `source` must outlive the gradients.
at::Tensor recomputed_block(const at::Tensor& x, WeightSource& source,
                            const std::shared_ptr<const DecoderPass>& pass, std::int64_t layer);

}  // namespace reflect
