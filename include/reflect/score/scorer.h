// Log-probabilities of target tokens given their context, for many passes at once.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "reflect/model/llama.h"

namespace reflect {

enum class ScoreStatus { kOk, kTooLong, kEmpty, kNonFinite };
std::string_view name_of(ScoreStatus status);  // "ok", "too_long", "empty", "non_finite"
std::optional<ScoreStatus> score_status_named(std::string_view name);

// One forward pass: how likely are `target_ids` after `context_ids` (BOS included by the caller)?
struct Pass {
  std::vector<std::int32_t> context_ids;  // at least one id
  std::vector<std::int32_t> target_ids;
  std::size_t row = 0;    // the record it belongs to
  std::string_view name;  // which pass of the row: "conditional", "direct", ...
  std::int64_t length() const {
    return static_cast<std::int64_t>(context_ids.size() + target_ids.size());
  }
};

// A failure is a status, never a number.
struct PassScore {
  ScoreStatus status = ScoreStatus::kEmpty;
  std::vector<float> log_probs;  // one per target token, in fp32; empty unless kOk
  double mean_nll() const;       // mean of -log p; only when kOk
};

struct ScorerConfig {
  std::int64_t max_batch_tokens = 2048;
  std::int64_t max_length = 0;
  void visit(auto& v) {
    v("max-batch-tokens", max_batch_tokens, "Tokens of one packed forward pass.");
    v("max-length", max_length,
      "Longest pass in tokens; 0: the model's window (2048 with --parity reference).");
  }
};

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
