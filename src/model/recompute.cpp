#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include "decoder_block.h"

namespace reflect {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// What the backward pass needs besides the block's input.
struct BlockCall : torch::CustomClassHolder {
  BlockCall(WeightSource& weight_source, std::shared_ptr<const DecoderPass> decoder_pass,
            std::int64_t index)
      : source(weight_source), pass(std::move(decoder_pass)), layer(index) {}

  WeightSource& source;
  std::shared_ptr<const DecoderPass> pass;
  std::int64_t layer;
};

// The tensors that a block's gradient reaches: its weights and its adapter's factors, as far as
// they are trained. Always in this order.
variable_list trained_tensors(const BlockWeights& weights, const BlockCall& call) {
  variable_list trained;
  const auto add = [&](const at::Tensor& tensor) {
    if (tensor.requires_grad()) trained.push_back(tensor);
  };
  add(weights.input_norm);
  add(weights.post_attention_norm);
  for (const at::Tensor& projection : weights.projections) add(projection);
  if (const Adapter* adapter = call.pass->adapter)
    for (const auto& pair : adapter->blocks[call.layer].pairs)
      if (pair) {
        add(pair->a);
        add(pair->b);
        if (pair->magnitude.defined()) add(pair->magnitude);
      }
  return trained;
}

// The trained tensors are inputs so that the graph knows of them: where the base is frozen they are
// what gives the first block a gradient at all.
struct RecomputedBlock : torch::autograd::Function<RecomputedBlock> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                            const at::TensorList& /*trained*/, const BlockWeights& weights,
                            const c10::intrusive_ptr<BlockCall>& call) {
    context->save_for_backward({x});
    context->saved_data["call"] = c10::IValue::make_capsule(call);
    return decoder_block(x, weights, *call->pass, call->layer);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto call =
        c10::static_intrusive_pointer_cast<BlockCall>(context->saved_data["call"].toCapsule());
    const bool input_needs = context->needs_input_grad(0);
    const at::Tensor x = context->get_saved_variables()[0].detach().requires_grad_(input_needs);
    const BlockWeights weights = call->source.block(call->layer);
    variable_list inputs = trained_tensors(weights, *call);
    if (input_needs) inputs.insert(inputs.begin(), x);
    at::Tensor y;
    {
      const at::AutoGradMode with_graph(true);
      y = decoder_block(x, weights, *call->pass, call->layer);
    }
    variable_list result = torch::autograd::grad({y}, inputs, {gradients[0]});
    if (!input_needs) result.insert(result.begin(), at::Tensor());
    result.resize(result.size() + 2);  // of weights and call
    return result;
  }
};

}  // namespace

at::Tensor recomputed_block(const at::Tensor& x, WeightSource& source,
                            const std::shared_ptr<const DecoderPass>& pass, std::int64_t layer) {
  const BlockWeights weights = source.block(layer);
  const auto call = c10::make_intrusive<BlockCall>(source, pass, layer);
  const variable_list trained = trained_tensors(weights, *call);
  return RecomputedBlock::apply(x, at::TensorList(trained), weights, call);
}

}  // namespace reflect
