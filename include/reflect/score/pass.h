// What is scored and what comes of it: a target after a context, and its log-probabilities or the
// reason why there are none.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace reflect {

// Of a pass, or of a row: that of its first pass that failed. kPrefiltered rows were not run.
enum class ScoreStatus { kOk, kTooLong, kEmpty, kNonFinite, kPrefiltered };
std::string_view name_of(ScoreStatus status);  // "ok", "too_long", "empty", "non_finite", ...
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

}  // namespace reflect
