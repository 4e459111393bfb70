// Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290): losses over pairs of a
// chosen and a rejected response, and their implicit rewards.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "reflect/train/pack_inputs.h"
#include "reflect/train/preference_config.h"

namespace reflect {

// What a step's losses are divided by, over all its packs.
struct PreferenceTotals {
  std::int64_t pairs = 0;
  std::int64_t chosen_tokens = 0;
  void add(const PackInputs& inputs);
};

struct PreferenceLoss {
  at::Tensor sum;                             // scalar fp32; differentiable
  at::Tensor chosen_reward, rejected_reward;  // [pairs] fp32, without gradient
};

// The loss of one pack whose rows 2 i and 2 i + 1 are the chosen and the rejected response of pair
// i. With p and r the log-probability of a response by the model and by the reference (sums of -nll
// over its tokens) and n its tokens, a reward is beta (p - r) and a margin the difference of the
// two p - r; ipo (Azar et al. 2023, arXiv 2310.12036) and sigmoid_norm divide each p - r by n. The
// SFT term is the mean nll of the chosen responses' tokens. As in TRL.
// `nll` [N] (differentiable) and `reference_nll` [N] are of inputs.targets.
PreferenceLoss preference_loss(const at::Tensor& nll, const at::Tensor& reference_nll,
                               const PackInputs& inputs, const PreferenceConfig& config,
                               const PreferenceTotals& totals);

}  // namespace reflect
