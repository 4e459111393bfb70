#include "reflect/train/preference.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/log_sigmoid.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/zeros.h>

#include "reflect/base/error.h"

namespace reflect {
namespace {

// Sums of `values` [N] by the row of each target, as [pairs, 2]: chosen, rejected.
at::Tensor by_response(const at::Tensor& values, const PackInputs& inputs) {
  return at::zeros({inputs.rows.rows()}, values.options())
      .index_add(0, inputs.row, values)
      .view({-1, 2});
}

at::Tensor pair_losses(const at::Tensor& log_ratio, const at::Tensor& tokens,
                       const PreferenceConfig& config) {
  const auto margin = [](const at::Tensor& of) { return of.select(1, 0) - of.select(1, 1); };
  if (config.form == "sigmoid") return -at::log_sigmoid(margin(log_ratio) * config.beta);
  const at::Tensor a_token = margin(log_ratio / tokens);
  if (config.form == "sigmoid_norm") return -at::log_sigmoid(a_token * config.beta);
  if (config.form == "ipo") return (a_token - 1 / (2 * config.beta)).pow(2);
  fail_usage("train", "no loss.dpo.form '{}'; known: sigmoid, ipo, sigmoid_norm", config.form);
}

}  // namespace

void PreferenceTotals::add(const PackInputs& inputs) {
  pairs += inputs.rows.rows() / 2;
  const at::Tensor chosen = inputs.row.remainder(2).eq(0);
  chosen_tokens += chosen.sum().item<std::int64_t>();
}

PreferenceLoss preference_loss(const at::Tensor& nll, const at::Tensor& reference_nll,
                               const PackInputs& inputs, const PreferenceConfig& config,
                               const PreferenceTotals& totals) {
  const at::Tensor log_ratio = by_response(reference_nll - nll, inputs);
  const at::Tensor tokens = by_response(at::ones_like(reference_nll), inputs);
  PreferenceLoss result;
  result.sum = pair_losses(log_ratio, tokens, config).sum() / totals.pairs;
  if (config.sft_weight > 0) {
    const at::Tensor chosen_nll = by_response(nll, inputs).select(1, 0).sum();
    result.sum = result.sum + config.sft_weight * chosen_nll / totals.chosen_tokens;
  }
  const at::Tensor rewards = log_ratio.detach() * config.beta;
  result.chosen_reward = rewards.select(1, 0);
  result.rejected_reward = rewards.select(1, 1);
  return result;
}

}  // namespace reflect
