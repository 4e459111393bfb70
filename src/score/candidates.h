// What selection needs of every scored row, gathered in one read of the rows.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "reflect/data/decontaminate.h"
#include "reflect/score/score_rows.h"
#include "score/prefilter.h"

namespace reflect {

class Candidates {
 public:
  explicit Candidates(const ScoreConfig& config);

  void add(const Json& row);  // with its `scores`

  const std::vector<Candidate>& list() const { return list_; }
  const std::string& id(std::size_t row) const { return ids_[row]; }
  // Null where the gate is off.
  const NearDuplicates* near_duplicates() const { return near_ ? &*near_ : nullptr; }
  const Benchmarks* benchmarks() const { return benchmarks_ ? &*benchmarks_ : nullptr; }
  const std::map<std::size_t, BenchmarkMatch>& contaminated() const { return contaminated_; }
  // Of each row: the highest --decontaminate-ratio that makes it contaminated. Empty without
  // benchmarks.
  const std::vector<double>& contaminated_up_to() const { return contaminated_up_to_; }
  // By the small model, of each row; empty without one.
  const std::vector<PrefilterScore>& prefilter_scores() const { return prefilter_scores_; }

 private:
  const ScoreConfig& config_;
  std::vector<Candidate> list_;
  std::vector<std::string> ids_;
  std::optional<NearDuplicates> near_;
  std::optional<Benchmarks> benchmarks_;
  std::map<std::size_t, BenchmarkMatch> contaminated_;
  std::vector<double> contaminated_up_to_;
  std::vector<PrefilterScore> prefilter_scores_;
};

// How far below its threshold near duplicates can be searched (the receipt's sweep does).
inline constexpr double kNearDuplicateSweep = 0.1;

}  // namespace reflect
