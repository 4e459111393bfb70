#include "reflect/train/loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "reflect/model/cross_entropy.h"

namespace reflect {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Logits that exist at a time: 64 MiB in fp32, 32 in bf16.
constexpr std::int64_t kLogitsAtATime = 1 << 24;

struct LossAndGradients {
  at::Tensor nll;
  variable_list gradients;  // of hidden, where it needs one, and of head.trained()
};

// What logits are made of: the output matrix, and the number of the first row of hidden states.
struct HeadOfRows {
  OutputHead head;
  std::int64_t first = 0;
};

// Of sum(weights * nll): nll [N], and the gradients of hidden (where it needs one) and of all that
// head.trained() names. One chunk's graph exists at a time.
LossAndGradients loss_and_gradients(const at::Tensor& hidden, const HeadOfRows& of_rows,
                                    const at::Tensor& targets, const at::Tensor& weights,
                                    bool with_gradients) {
  const auto& [head, first] = of_rows;
  const std::int64_t rows = hidden.size(0), chunk = rows_of_logits(head.vocab_size());
  LossAndGradients result{at::empty({rows}, weights.options()), {}};
  const variable_list trained = with_gradients ? head.trained() : variable_list();
  const bool of_hidden = with_gradients && hidden.requires_grad();
  if (of_hidden) result.gradients.push_back(at::empty_like(hidden));
  for (const at::Tensor& tensor : trained)
    result.gradients.push_back(at::zeros(tensor.sizes(), weights.options()));
  for (std::int64_t begin = 0; begin < rows; begin += chunk) {
    const auto part = [&](const at::Tensor& tensor) {
      return tensor.slice(0, begin, std::min(rows, begin + chunk));
    };
    if (result.gradients.empty()) {
      part(result.nll).copy_(target_nll(head.logits(part(hidden), first + begin), part(targets)));
      continue;
    }
    const at::AutoGradMode with_graph(true);
    const at::Tensor input = part(hidden).detach().requires_grad_(of_hidden);
    const at::Tensor logits = head.logits(input, first + begin);
    variable_list inputs = trained;
    if (of_hidden) inputs.insert(inputs.begin(), input);
    at::Tensor gradient = logits.detach();  // of the same memory
    part(result.nll).copy_(target_nll_and_gradient_(gradient, part(targets), part(weights)));
    const variable_list found = torch::autograd::grad({logits}, inputs, {gradient});
    if (of_hidden) part(result.gradients[0]).copy_(found[0]);
    for (std::size_t i = of_hidden; i < found.size(); ++i) result.gradients[i].add_(found[i]);
  }
  for (std::size_t i = 0; i < trained.size(); ++i) {
    at::Tensor& gradient = result.gradients[of_hidden + i];
    gradient = gradient.to(trained[i].scalar_type());
  }
  return result;
}

// The output matrix, carried from the forward to the backward pass.
struct HeadOfPass : torch::CustomClassHolder {
  explicit HeadOfPass(HeadOfRows of_pass) : head(std::move(of_pass)) {}
  HeadOfRows head;
};

// OutputHead::trained() are inputs so that the graph knows of them.
struct WeightedCrossEntropy : torch::autograd::Function<WeightedCrossEntropy> {
  static variable_list forward(AutogradContext* context, const at::Tensor& hidden,
                               const at::TensorList& /*trained*/, const HeadOfRows& head,
                               const at::Tensor& targets, const at::Tensor& weights) {
    const LossAndGradients result =
        loss_and_gradients(hidden, head, targets, weights, /*with_gradients=*/true);
    context->saved_data["gradients"] = result.gradients;
    context->saved_data["of_hidden"] = hidden.requires_grad();
    context->mark_non_differentiable({result.nll});
    return {result.nll.dot(weights), result.nll};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    variable_list scaled;
    if (!context->saved_data["of_hidden"].toBool()) scaled.emplace_back();
    for (const at::Tensor& saved : context->saved_data["gradients"].toTensorVector())
      scaled.push_back(saved * gradients[0].to(saved.scalar_type()));
    scaled.resize(scaled.size() + 3);  // of head, targets and weights
    return scaled;
  }
};

struct TokenNll : torch::autograd::Function<TokenNll> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& hidden,
                            const at::TensorList& /*trained*/,
                            const c10::intrusive_ptr<HeadOfPass>& pass, const at::Tensor& targets) {
    context->save_for_backward({hidden, targets});
    context->saved_data["pass"] = c10::IValue::make_capsule(pass);
    return nll_of(hidden, pass->head, targets);
  }

  // The weights of the sum that is differentiated are known now.
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const auto pass =
        c10::static_intrusive_pointer_cast<HeadOfPass>(context->saved_data["pass"].toCapsule());
    variable_list result = loss_and_gradients(saved[0], pass->head, saved[1],
                                              gradients[0].contiguous(), /*with_gradients=*/true)
                               .gradients;
    if (!saved[0].requires_grad()) result.insert(result.begin(), at::Tensor());
    result.resize(result.size() + 2);  // of pass and targets
    return result;
  }

  static at::Tensor nll_of(const at::Tensor& hidden, const HeadOfRows& head,
                           const at::Tensor& targets) {
    const at::Tensor ones = at::ones({targets.size(0)}, hidden.options().dtype(at::kFloat));
    return loss_and_gradients(hidden, head, targets, ones, /*with_gradients=*/false).nll;
  }
};

}  // namespace

std::int64_t rows_of_logits(std::int64_t vocab_size) {
  return std::max<std::int64_t>(64, kLogitsAtATime / vocab_size);
}

at::Tensor token_nll(const at::Tensor& hidden, const OutputHead& head, const at::Tensor& targets,
                     std::int64_t first) {
  const HeadOfRows of_rows{head, first};
  if (!at::GradMode::is_enabled()) return TokenNll::nll_of(hidden, of_rows, targets);
  const variable_list trained = head.trained();
  return TokenNll::apply(hidden, at::TensorList(trained), c10::make_intrusive<HeadOfPass>(of_rows),
                         targets);
}

TokenLoss weighted_cross_entropy(const at::Tensor& hidden, const OutputHead& head,
                                 const at::Tensor& targets, const at::Tensor& weights,
                                 std::int64_t first) {
  const HeadOfRows of_rows{head, first};
  if (!at::GradMode::is_enabled()) {
    const at::Tensor nll =
        loss_and_gradients(hidden, of_rows, targets, weights, /*with_gradients=*/false).nll;
    return {nll.dot(weights), nll};
  }
  const variable_list trained = head.trained();
  const variable_list outputs =
      WeightedCrossEntropy::apply(hidden, at::TensorList(trained), of_rows, targets, weights);
  return {outputs[0], outputs[1]};
}

}  // namespace reflect
