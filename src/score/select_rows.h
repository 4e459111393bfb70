// The second half of reflect-score: from scored rows to decisions, their receipt and the files.
#pragma once

#include <functional>
#include <string>

#include "reflect/score/score_rows.h"
#include "score/summary.h"

namespace reflect {

class RowScorer;

// Visits all scored rows in order; may be called several times. The visitor may change its row.
using ScoredRows = std::function<void(const std::function<void(Json&)>& visit)>;

struct SelectionOutcome {
  Summary summary;
  std::string table;  // yields and sensitivity, for the terminal
};

// The model, for policies that look at hidden states; called when one does.
using ScorerProvider = std::function<const RowScorer&()>;

// Decides and writes `output`, `selected`, the random control, `output`.receipt.json and the
// report.
SelectionOutcome select_rows(const ScoreConfig& config, const ScoredRows& rows,
                             const ScorerProvider& scorer);

// Where the random control goes; empty: nowhere.
std::string random_control_path(const ScoreConfig& config);

}  // namespace reflect
