// A row made ready for scoring.
#pragma once

#include <string>
#include <vector>

#include "reflect/data/record.h"
#include "reflect/score/spans.h"

namespace reflect {

// What a prefilter says of a row. `scores` are the small model's, null without a prefilter. Status
// kOk: the student scores the row; kPrefiltered: its IFD is not among the highest; else the small
// model could not score it.
struct PrefilterVerdict {
  Json scores;
  ScoreStatus status = ScoreStatus::kOk;
};

// A record with the passes that its scores need.
struct RowWork {
  Record record;
  std::string other_reflection;  // that its gain passes use; empty: none
  RowPasses row;                 // no passes where a prefilter holds the row back
  std::vector<GainPass> gains;
  PrefilterVerdict prefilter = {};
  std::vector<const Pass*> passes() const;  // all, those of the row first
  std::int64_t tokens() const;              // of all passes
};

}  // namespace reflect
