// What a run of reflect-score tells its user: counts, reasons and quantiles.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "reflect/data/record.h"
#include "reflect/score/select.h"

namespace reflect {

class Summary {
 public:
  void add(const Json& row, Decision decision);  // a scored row
  std::size_t rows() const { return rows_; }
  std::size_t kept() const { return decisions_[static_cast<int>(Decision::kKept)]; }
  // More than half of the IFDs are above 1: the model does not know the template, most likely.
  bool mostly_unhelped() const;
  std::string table() const;
  std::string gain_lines() const;  // what reflections are worth; empty without any
  Json json() const;               // counts by status and by decision

 private:
  void add_gains(const Json& gains);

  std::size_t rows_ = 0;
  std::map<std::string, std::size_t> statuses_;
  std::array<std::size_t, kDecisions> decisions_{};
  std::map<std::string, std::vector<double>> values_;  // of each score that is a number
  std::vector<double> gains_;                          // of all reflections
  std::vector<double> own_, other_;  // of those also scored with another row's reflection
};

}  // namespace reflect
