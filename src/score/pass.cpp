#include "reflect/score/pass.h"

#include <numeric>

namespace reflect {

std::string_view name_of(ScoreStatus status) {
  switch (status) {
    case ScoreStatus::kOk:
      return "ok";
    case ScoreStatus::kTooLong:
      return "too_long";
    case ScoreStatus::kEmpty:
      return "empty";
    case ScoreStatus::kNonFinite:
      return "non_finite";
    case ScoreStatus::kPrefiltered:
      return "prefiltered";
  }
  return "unknown";
}

std::optional<ScoreStatus> score_status_named(std::string_view name) {
  for (const ScoreStatus status : {ScoreStatus::kOk, ScoreStatus::kTooLong, ScoreStatus::kEmpty,
                                   ScoreStatus::kNonFinite, ScoreStatus::kPrefiltered})
    if (name == name_of(status)) return status;
  return std::nullopt;
}

double PassScore::mean_nll() const {
  const double sum = std::accumulate(log_probs.begin(), log_probs.end(), 0.0);
  return -sum / static_cast<double>(log_probs.size());
}

}  // namespace reflect
