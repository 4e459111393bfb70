// What selection needs of every scored row, gathered in one read of the rows.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "reflect/data/decontaminate.h"
#include "reflect/score/score_rows.h"

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

 private:
  const ScoreConfig& config_;
  std::vector<Candidate> list_;
  std::vector<std::string> ids_;
  std::optional<NearDuplicates> near_;
  std::optional<Benchmarks> benchmarks_;
  std::map<std::size_t, BenchmarkMatch> contaminated_;
};

// How far below its threshold near duplicates can be searched (the receipt's sweep does).
inline constexpr double kNearDuplicateSweep = 0.1;

}  // namespace reflect
