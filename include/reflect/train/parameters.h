// The trainable tensors of a run, laid out in flat fp32 buffers: values, gradients.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "reflect/model/safetensors.h"

namespace reflect {

// One trainable tensor and its place in the flat buffers.
struct Parameter {
  std::string name;
  at::Tensor tensor;  // the leaf that the model computes with
  std::int64_t begin = 0;
  std::int64_t size = 0;
};

// Takes over the storage of the tensors that it is given: each becomes a view into one flat buffer
// and a leaf that requires grad, so that the optimizer, clipping and (between processes) the
// reduction of gradients are single operations. Where the model computes in bf16, the flat fp32
// buffer holds the master values and the model's tensors are views into a bf16 copy of it.
class ParameterBuffer {
 public:
  // Parameters with at least two dimensions come first, [0, matrices_end()), the others after:
  // weight decay applies to the former only, as in the Hugging Face trainer.
  ParameterBuffer(const std::vector<NamedTensor>& tensors, at::ScalarType compute_dtype);

  const std::vector<Parameter>& parameters() const { return parameters_; }
  const at::Tensor& values() const { return values_; }        // [P] fp32, masters
  const at::Tensor& gradients() const { return gradients_; }  // [P] fp32
  std::int64_t matrices_end() const { return matrices_end_; }
  std::int64_t count() const;  // trainable numbers, without the padding between tensors

  // `flat` [P] as the parameter's own shape, sharing memory.
  at::Tensor view(const at::Tensor& flat, const Parameter& parameter) const;

  void zero_gradients();
  // After each backward pass: adds gradients that were computed in bf16 to the fp32 ones.
  void collect_gradients();
  // After the masters changed: rounds them into the tensors that the model computes with.
  void publish_values();

  // L2 norm of all gradients.
  double gradient_norm() const;
  // Scales the gradients so that their norm is at most `max_norm`, given that it is `norm`.
  void clip_gradients(double norm, double max_norm);

 private:
  std::vector<Parameter> parameters_;
  std::int64_t matrices_end_ = 0;
  at::Tensor values_, gradients_;
  at::Tensor compute_values_, compute_gradients_;  // the same tensors where compute is fp32
};

}  // namespace reflect
