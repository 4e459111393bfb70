// The two tables of tokens, embedding and output matrix, with what an adapter adds to them.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "reflect/model/lora.h"

namespace reflect {

// Rows `ids` [T] (int64) of the embedding `table` [V, H]: [T, H] in the table's dtype. Those of
// `rows` (null: none) are the trained ones, to which gradients flow.
at::Tensor embedded(const at::Tensor& table, const at::Tensor& ids, const TokenRows* rows);

// The output matrix of one pass. The adapter (null: none) must outlive it and its gradients.
class OutputHead {
 public:
  OutputHead(at::Tensor weight, const Adapter* adapter = nullptr);  // weight [V, H]

  // Logits [N, V] of hidden states [N, H], in their dtype: W h + s B A h, with trained rows in
  // place of the base's. Gradients flow to `hidden` and to trained(). Dropout on the adapter's
  // input, where a training step has it, is for each row a function of the step's key and of the
  // row's number, which is `first` for the first: parts of the rows have the masks of all.
  at::Tensor logits(const at::Tensor& hidden, std::int64_t first = 0) const;

  std::int64_t vocab_size() const { return weight_.size(0); }
  // What gradients flow to, always in this order: factors and rows, or the matrix where it is
  // trained.
  std::vector<at::Tensor> trained() const;

 private:
  const LoraPair* pair() const;
  const TokenRows* rows() const;  // null where those of the output matrix are the base's

  at::Tensor weight_;
  const Adapter* adapter_;
  std::optional<LoraDropout> dropout_;  // of this pass: the next draws another
};

}  // namespace reflect
