// One pack as tensors: what the model reads and what the loss asks of it.
#pragma once

#include <vector>

#include "reflect/data/tokenized_corpus.h"
#include "reflect/model/llama.h"
#include "reflect/train/loss.h"

namespace reflect {

struct PackInputs {
  at::Tensor ids;  // [T] int64
  PackedRows rows;
  at::Tensor positions;                // [N] int64: hidden states that predict a trained token
  at::Tensor targets;                  // [N] int64
  at::Tensor weights;                  // [N] fp32, all above 0
  at::Tensor row;                      // [N] int64: row of the pack, from 0
  std::vector<std::int8_t> span_type;  // [N] SpanType of the target
  double weight = 0;                   // sum of weights
  bool idle() const { return span_type.empty(); }
};

PackInputs pack_inputs(const TokenizedCorpus& examples, const Batch& batch,
                       const at::Device& device);

// One token that trains nothing: a pass over it, with gradients of zero, is what a rank makes while
// others have a pack more than it. So all ranks make the same number of passes.
PackInputs idle_inputs(const at::Device& device);

// The loss of one pack with its weights divided by `total_weight`. Of ranks that compute together
// (WeightSource::tensor_group) each computes the logits of some positions: all get every nll, and
// the sum is over this rank's positions.
TokenLoss pack_loss(const Llama& model, const PackInputs& inputs, const ForwardOptions& options,
                    double total_weight);

// -log p [N] (fp32, differentiable) of the pack's targets; gradients flow from those that this rank
// computes.
at::Tensor pack_nll(const Llama& model, const PackInputs& inputs, const ForwardOptions& options);

}  // namespace reflect
