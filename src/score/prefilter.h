// The first filter: a small model scores all rows, those of highest IFD go on to the student.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "score/row_work.h"
#include "score/score_batches.h"

namespace reflect {

// A row's scores by the small model; numbers only where the status is kOk.
struct PrefilterScore {
  ScoreStatus status = ScoreStatus::kOk;
  double ifd_ppl = 0, ifd_loss = 0, nll_conditional = 0, nll_direct = 0;
};

// Reads it from a row's `scores.prefilter`.
PrefilterScore prefilter_score(const Json& json);

class Prefilter {
 public:
  // The share `config.keep` of all rows, by highest IFD below `config.max_ifd`, goes on; ties go to
  // the earlier row. `identity`: what the scores depend on.
  Prefilter(const PrefilterConfig& config, std::vector<PrefilterScore> scores, Json identity = {});

  PrefilterVerdict verdict(std::size_t row) const;
  bool passes(std::size_t row) const { return passes_[row]; }
  std::size_t passed() const { return passed_; }
  Json meta() const;         // model, settings and counts
  std::string line() const;  // the counts, for people

 private:
  PrefilterConfig config_;
  std::vector<PrefilterScore> scores_;
  std::vector<bool> passes_;
  std::size_t passed_ = 0, failed_ = 0, unhelped_ = 0;  // unhelped: max_ifd or more
  Json identity_;
};

// Throws Error (usage) for settings that mean nothing.
void check_prefilter(const ScoreConfig& config);

// The settings of the small model's run: two passes a row, its own template and dtype.
ScoreConfig prefilter_settings(const ScoreConfig& config);

// Scores the portion's rows; finished batches are in `journal` of the first rank. All ranks have
// the model whole and get the same. Nothing when a signal ended it.
std::optional<Prefilter> run_prefilter(const ScoreConfig& config, const Portion& portion,
                                       Journal* journal, const Placement& placement);

}  // namespace reflect
