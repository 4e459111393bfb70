#include "reflect/train/loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "reflect/model/cross_entropy.h"
#include "reflect/model/product.h"

namespace reflect {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Logits that exist at a time: 64 MiB in fp32, 32 in bf16.
constexpr std::int64_t kLogitsAtATime = 1 << 24;

struct Wanted {
  bool hidden, lm_head;
};

struct LossAndGradients {
  at::Tensor sum, nll;
  at::Tensor hidden, lm_head;  // gradients; undefined where not wanted
};

LossAndGradients loss_and_gradients(const at::Tensor& hidden, const at::Tensor& lm_head,
                                    const at::Tensor& targets, const at::Tensor& weights,
                                    Wanted wanted) {
  const std::int64_t rows = hidden.size(0), vocab = lm_head.size(0);
  const std::int64_t chunk = rows_of_logits(vocab);
  LossAndGradients result;
  result.nll = at::empty({rows}, weights.options());
  if (wanted.hidden) result.hidden = at::empty_like(hidden);
  if (wanted.lm_head) result.lm_head = at::zeros(lm_head.sizes(), weights.options());
  for (std::int64_t begin = 0; begin < rows; begin += chunk) {
    const std::int64_t end = std::min(rows, begin + chunk);
    const auto part = [&](const at::Tensor& tensor) { return tensor.slice(0, begin, end); };
    const at::Tensor hidden_part = part(hidden);
    at::Tensor logits = product(hidden_part, lm_head.t());
    if (!wanted.hidden && !wanted.lm_head) {
      part(result.nll).copy_(target_nll(logits, part(targets)));
      continue;
    }
    part(result.nll).copy_(target_nll_and_gradient_(logits, part(targets), part(weights)));
    const at::Tensor& gradient = logits;
    if (wanted.hidden) part(result.hidden).copy_(product(gradient, lm_head));
    if (wanted.lm_head) result.lm_head.add_(product(gradient.t(), hidden_part));
  }
  result.sum = result.nll.dot(weights);
  if (wanted.lm_head) result.lm_head = result.lm_head.to(lm_head.scalar_type());
  return result;
}

struct WeightedCrossEntropy : torch::autograd::Function<WeightedCrossEntropy> {
  static variable_list forward(AutogradContext* context, const at::Tensor& hidden,
                               const at::Tensor& lm_head, const at::Tensor& targets,
                               const at::Tensor& weights) {
    const LossAndGradients result =
        loss_and_gradients(hidden, lm_head, targets, weights,
                           {.hidden = hidden.requires_grad(), .lm_head = lm_head.requires_grad()});
    context->saved_data["hidden"] = result.hidden;
    context->saved_data["lm_head"] = result.lm_head;
    context->mark_non_differentiable({result.nll});
    return {result.sum, result.nll};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto scaled = [&](const char* name) -> at::Tensor {
      const at::Tensor saved = context->saved_data[name].toTensor();
      return saved.defined() ? saved * gradients[0].to(saved.scalar_type()) : at::Tensor();
    };
    return {scaled("hidden"), scaled("lm_head"), at::Tensor(), at::Tensor()};
  }
};

struct TokenNll : torch::autograd::Function<TokenNll> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& hidden,
                            const at::Tensor& lm_head, const at::Tensor& targets) {
    context->save_for_backward({hidden, lm_head, targets});
    return nll_of(hidden, lm_head, targets);
  }

  // The weights of the sum that is differentiated are known now.
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const LossAndGradients result = loss_and_gradients(
        saved[0], saved[1], saved[2], gradients[0].contiguous(),
        {.hidden = context->needs_input_grad(0), .lm_head = context->needs_input_grad(1)});
    return {result.hidden, result.lm_head, at::Tensor()};
  }

  static at::Tensor nll_of(const at::Tensor& hidden, const at::Tensor& lm_head,
                           const at::Tensor& targets) {
    const at::Tensor ones = at::ones({targets.size(0)}, hidden.options().dtype(at::kFloat));
    return loss_and_gradients(hidden, lm_head, targets, ones, {.hidden = false, .lm_head = false})
        .nll;
  }
};

}  // namespace

std::int64_t rows_of_logits(std::int64_t vocab_size) {
  return std::max<std::int64_t>(64, kLogitsAtATime / vocab_size);
}

at::Tensor token_nll(const at::Tensor& hidden, const at::Tensor& lm_head,
                     const at::Tensor& targets) {
  if (!at::GradMode::is_enabled()) return TokenNll::nll_of(hidden, lm_head, targets);
  return TokenNll::apply(hidden, lm_head, targets);
}

TokenLoss weighted_cross_entropy(const at::Tensor& hidden, const at::Tensor& lm_head,
                                 const at::Tensor& targets, const at::Tensor& weights) {
  if (!at::GradMode::is_enabled()) {
    const LossAndGradients result =
        loss_and_gradients(hidden, lm_head, targets, weights, {.hidden = false, .lm_head = false});
    return {result.sum, result.nll};
  }
  const variable_list outputs = WeightedCrossEntropy::apply(hidden, lm_head, targets, weights);
  return {outputs[0], outputs[1]};
}

}  // namespace reflect
