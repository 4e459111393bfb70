// Which scored rows are kept: gates, the policies of Selective Reflection-Tuning (arXiv 2402.10110)
// and the top fraction of Cherry (arXiv 2308.12032); each drop has its reason.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reflect/score/scorer.h"

namespace reflect {

struct SelectionConfig {
  std::string policy = "none";
  std::string ratio = "ppl";
  double max_ifd = 1;
  double max_rifd = 1;
  double top_fraction = 1;
  void visit(auto& v) {
    v("policy", policy,
      "One row of each group, as Selective Reflection-Tuning chooses among original, Q, A and QA "
      "(paper: any of them; script: only QA or A); none: every row stands for itself.",
      {"none", "selective-paper", "selective-script"});
    v("ratio", ratio, "The ratio that IFD and r-IFD mean here: of perplexities or of losses.",
      {"ppl", "loss"});
    v("max-ifd", max_ifd, "Keep rows with IFD below this; 0: no such gate.");
    v("max-rifd", max_rifd, "Keep rows with r-IFD below this; 0: no such gate.");
    v("top-fraction", top_fraction,
      "Of the rows left, keep those of highest IFD, this share of all rows (Cherry: 0.05 to 0.1).");
  }
};

// What a decision is made from. Rows of one `group` are candidates of one problem; a row without a
// group is a group of its own. A ratio is absent where it was not scored.
struct Candidate {
  std::string group;
  std::string variant;  // "original", "Q", "A" or "QA" for the selective policies
  ScoreStatus status = ScoreStatus::kOk;
  std::optional<double> ifd, rifd;
};

enum class Decision {
  kKept,
  kTooLong,  // the status of its scores, as the next two
  kEmpty,
  kNonFinite,
  kIncompleteGroup,  // no usable original to compare with
  kNotChosen,        // another candidate of the group was
  kNotReflected,     // selective-script: the choice fell on original or Q
  kHighIfd,          // max_ifd
  kHighRifd,         // max_rifd
  kBelowTop,         // top_fraction
};
inline constexpr int kDecisions = 10;
std::string_view reason_of(Decision decision);  // "kept", "too_long", "not_chosen", "high_ifd", ...

// Throws Error (usage) for settings that mean nothing.
void check(const SelectionConfig& config);

// One decision per candidate, in the order: status, policy, max_ifd, max_rifd, top_fraction. A
// candidate that is missing or failed wins no comparison; equal IFDs at the border of the top
// fraction go to the earlier row.
std::vector<Decision> select(const std::vector<Candidate>& candidates,
                             const SelectionConfig& config);

}  // namespace reflect
