#include "reflect/train/pack_inputs.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>

#include "reflect/model/tensor_parallel.h"

namespace reflect {
namespace {

template <class T>
at::Tensor tensor_of(std::vector<T>& values, at::ScalarType dtype, const at::Device& device) {
  return at::from_blob(values.data(), {static_cast<std::int64_t>(values.size())}, dtype)
      .to(device, /*non_blocking=*/false, /*copy=*/true);
}

// Of ranks that compute a pack together each computes the logits of an equal part of its positions.
class OwnPositions {
 public:
  OwnPositions(const Llama& model, const PackInputs& inputs)
      : group_(model.weights().tensor_group()), all_(inputs.positions.size(0)) {
    begin_ = all_ * group_.rank() / group_.size();
    size_ = all_ * (group_.rank() + 1) / group_.size() - begin_;
  }
  // Of values of all positions.
  at::Tensor of(const at::Tensor& values) const { return values.narrow(0, begin_, size_); }
  std::int64_t begin() const { return begin_; }
  // Those of all ranks, as all positions' values.
  at::Tensor joined(const at::Tensor& own) const {
    if (group_.size() == 1) return own;
    return sum_of_ranks(at::constant_pad_nd(own, {begin_, all_ - begin_ - size_}), group_);
  }

 private:
  ProcessGroup group_;
  std::int64_t all_, begin_, size_;
};

}  // namespace

PackInputs pack_inputs(const TokenizedCorpus& examples, const Batch& batch,
                       const at::Device& device) {
  PackInputs inputs;
  std::vector<std::int64_t> ids, positions, targets, rows;
  std::vector<float> weights;
  for (std::size_t row = 0; row < batch.row_index.size(); ++row) {
    const Example example = examples[static_cast<std::size_t>(batch.row_index[row])];
    for (std::size_t i = 0; i < example.size(); ++i) {
      if (i > 0 && example.weight[i] > 0) {
        positions.push_back(static_cast<std::int64_t>(ids.size()) - 1);
        targets.push_back(example.input_ids[i]);
        rows.push_back(static_cast<std::int64_t>(row));
        weights.push_back(example.weight[i]);
        inputs.span_type.push_back(example.span_type[i]);
        inputs.weight += example.weight[i];
      }
      ids.push_back(example.input_ids[i]);
    }
  }
  examples.drop_pages();
  inputs.rows.offsets = batch.offsets;
  inputs.ids = tensor_of(ids, at::kLong, device);
  inputs.positions = tensor_of(positions, at::kLong, device);
  inputs.targets = tensor_of(targets, at::kLong, device);
  inputs.weights = tensor_of(weights, at::kFloat, device);
  inputs.row = tensor_of(rows, at::kLong, device);
  return inputs;
}

PackInputs idle_inputs(const at::Device& device) {
  const at::Tensor zero = at::zeros({1}, at::TensorOptions().dtype(at::kLong).device(device));
  PackInputs inputs;
  inputs.ids = inputs.positions = inputs.targets = inputs.row = zero;
  inputs.weights = zero.to(at::kFloat);
  inputs.rows.offsets = {0, 1};
  return inputs;
}

TokenLoss pack_loss(const Llama& model, const PackInputs& inputs, const ForwardOptions& options,
                    double total_weight) {
  const at::Tensor hidden = model.hidden(inputs.ids, inputs.rows, options);
  const OwnPositions own(model, inputs);
  TokenLoss loss = weighted_cross_entropy(hidden.index_select(0, own.of(inputs.positions)),
                                          model.head(options.adapter), own.of(inputs.targets),
                                          own.of(inputs.weights) / total_weight, own.begin());
  loss.nll = own.joined(loss.nll);
  return loss;
}

at::Tensor pack_nll(const Llama& model, const PackInputs& inputs, const ForwardOptions& options) {
  const at::Tensor hidden = model.hidden(inputs.ids, inputs.rows, options);
  const OwnPositions own(model, inputs);
  return own.joined(token_nll(hidden.index_select(0, own.of(inputs.positions)),
                              model.head(options.adapter), own.of(inputs.targets), own.begin()));
}

}  // namespace reflect
