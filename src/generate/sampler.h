// Chooses tokens from one row of logits. Every filter is a lower bound on the logit, so nothing is
// sorted: a row costs a few passes over the vocabulary.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "reflect/base/random.h"
#include "reflect/generate/sampling.h"

namespace reflect {

// The tokens that may be drawn, in the order of their ids, and their probabilities (sum 1).
struct Distribution {
  std::vector<std::int32_t> ids;
  std::vector<double> probabilities;
};

// The likeliest token; of equal ones the smallest id. Throws Error when no logit is finite.
std::int32_t likeliest(std::span<const float> logits);

// CTRL (Keskar et al. 2019, arXiv 1909.05858, section 4.1) in the form that the field uses: a
// positive logit of a token in `seen` is divided by `penalty`, a negative one multiplied. A token
// that occurs several times is penalised once.
void penalize_repetition(std::span<float> logits, std::span<const std::int32_t> seen,
                         double penalty);

// Temperature (> 0), top-k, top-p (Holtzman et al. 2020, arXiv 1904.09751) and min-p (Nguyen et al.
// 2024, arXiv 2407.01082) of `config`. Tokens that tie with the last one kept are kept too. Tokens
// below exp(-40) of the likeliest one count as probability 0. Throws Error when no logit is finite.
Distribution distribution_of(std::span<const float> logits, const SamplingConfig& config);

// Inverse transform: the token whose share of [0, 1) holds one uniform draw.
std::int32_t draw(const Distribution& distribution, Random random);

}  // namespace reflect
