// How much the number of kept rows hangs on each threshold.
#pragma once

#include <string>
#include <vector>

#include "score/candidates.h"

namespace reflect {

// The final count for other values of one setting, all else as it is.
struct Sensitivity {
  std::string setting;
  double value;
  struct Point {
    double value;
    std::size_t kept;
    // Rows that another prefilter would hand to the student, who has not scored them: the count
    // lies between `kept` and the sum of both.
    std::size_t unscored = 0;
    std::string text() const;  // "12", or "12-15"
  };
  std::vector<Point> points;  // by value; the setting's own is among them
};

// For each threshold that is on, in the order of the gates.
std::vector<Sensitivity> sensitivity_of(const ScoreConfig& config, const Candidates& candidates);

}  // namespace reflect
