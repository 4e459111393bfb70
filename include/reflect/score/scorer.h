// Log-probabilities of target tokens given their context, for many passes at once.
#pragma once

#include <cstdint>
#include <vector>

#include "reflect/model/llama.h"
#include "reflect/score/pass.h"
#include "reflect/score/scorer_config.h"

namespace reflect {

struct PrefixTree;

// Tokens that a model read for passes of `given` tokens: fewer where passes begin alike.
struct ScoredTokens {
  std::int64_t given = 0, computed = 0;
};

// Scores passes packed by the token budget, in an order that depends on the passes only; what
// passes of one batch have in common at their beginnings is computed once. A pass that fills the
// window with its context alone is kTooLong, one without a target kEmpty; a pass longer than the
// budget goes alone.
class Scorer {
 public:
  Scorer(const Llama& model, ScorerConfig config, const Adapter* adapter = nullptr);
  // In the order of `passes`.
  std::vector<PassScore> score(const std::vector<Pass>& passes) const;
  std::vector<PassScore> score_each(const std::vector<const Pass*>& passes) const;
  ScoredTokens tokens() const { return tokens_; }                 // of all calls so far
  std::int64_t max_length() const { return config_.max_length; }  // resolved

 private:
  std::vector<float> log_probs(const std::vector<const Pass*>& passes,
                               const PrefixTree& tree) const;  // of all targets, pass by pass

  const Llama& model_;
  ScorerConfig config_;
  const Adapter* adapter_;
  mutable ScoredTokens tokens_;
};

}  // namespace reflect
