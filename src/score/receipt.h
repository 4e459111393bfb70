// What a selection did, gate by gate, and how much it hangs on each threshold.
#pragma once

#include <string>
#include <vector>

#include "score/candidates.h"
#include "score/sensitivity.h"

namespace reflect {

// One gate's yield. `dropped` by reason, in the order of Decision.
struct GateYield {
  Gate gate;
  std::string setting;  // what it was set to, for people
  std::size_t in = 0, out = 0;
  std::vector<std::pair<std::string_view, std::size_t>> dropped;
};

// Counts of a score in equal bins from `low` on; values beyond the ends are counted apart.
struct Histogram {
  std::string score, unit;
  double low = 0, bin_width = 1;
  std::vector<std::size_t> all, kept;  // [bins]
  std::size_t below = 0, above = 0, absent = 0;
};

struct Receipt {
  std::size_t rows = 0, kept = 0;
  std::vector<GateYield> gates;  // those that are on, in order
  std::vector<Sensitivity> sensitivity;
  std::vector<Histogram> histograms;
  Json json() const;
  std::string table() const;
};

Receipt receipt_of(const ScoreConfig& config, const Candidates& candidates,
                   const Selection& selection);

}  // namespace reflect
