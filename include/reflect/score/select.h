// Which scored rows are kept: gates in a fixed order, then a policy; each drop has its reason.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reflect/data/minhash.h"
#include "reflect/score/pass.h"

namespace reflect {

struct SelectionConfig {
  std::string policy = "none";
  std::string ratio = "ppl";
  std::string correct = "auto";
  double min_ifd = 0;
  double max_ifd = 1;
  double max_rifd = 1;
  std::string gain = "all";
  double min_gain = -100;
  std::int64_t min_tokens = 0;
  std::int64_t max_tokens = 0;
  bool exact_duplicates = true;
  double near_duplicates = 0;
  double pool_fraction = 0.3;
  double top_fraction = 1;
  void visit(auto& v) {
    v("policy", policy,
      "none: every row stands for itself. cherry: the top fraction by IFD. selective: one row of "
      "each group, as Selective Reflection-Tuning chooses among original, Q, A and QA (paper: any "
      "of them; script: only QA or A). diverse: the top fraction by facility location over mean "
      "hidden states. superfilter: the same among the pool fraction of highest IFD.",
      {"none", "cherry", "selective-paper", "selective-script", "superfilter", "diverse"});
    v("ratio", ratio, "The ratio that IFD and r-IFD mean here: of perplexities or of losses.",
      {"ppl", "loss"});
    v("correct", correct,
      "Drop rows whose answer is wrong, by the recorded verdict, by the checker (final answer "
      "against the gold answer), or auto: the first of the two that says something.",
      {"auto", "recorded", "checker", "off"});
    v("min-ifd", min_ifd, "Keep rows with IFD of at least this; 0: no such gate.");
    v("max-ifd", max_ifd, "Keep rows with IFD below this; 0: no such gate.");
    v("max-rifd", max_rifd, "Keep rows with r-IFD below this; 0: no such gate.");
    v("gain", gain,
      "The span gain that min-gain means: over all tokens of the corrections, or over novel ones, "
      "which the reflection does not contain.",
      {"all", "novel"});
    v("min-gain", min_gain,
      "Keep rows whose reflections save at least this, nats a token of correction; -100: no such "
      "gate.");
    v("min-tokens", min_tokens, "Keep responses of at least this many tokens; 0: no such gate.");
    v("max-tokens", max_tokens, "Keep responses of at most this many tokens; 0: no such gate.");
    v("exact-duplicates", exact_duplicates, "Drop rows with messages and response of a kept row.");
    v("near-duplicates", near_duplicates,
      "Drop rows whose word 5-grams (prompt and response) have this Jaccard similarity or more to "
      "those of a kept row; 0: no such gate, 0.8 is common.");
    v("pool-fraction", pool_fraction,
      "superfilter: share of all rows that enter the pool, by IFD.");
    v("top-fraction", top_fraction,
      "Of the rows left, keep this share of all rows (Cherry: 0.05 to 0.1).");
  }
};
inline constexpr double kNoGainGate = -100;

// What a decision is made from. Rows of one `group` are candidates of one problem; a row without a
// group is a group of its own. What is absent was not scored or is not known, and passes its gate.
struct Candidate {
  std::string group;
  std::string variant;  // "original", "Q", "A" or "QA" for the selective policies
  ScoreStatus status = ScoreStatus::kOk;
  std::optional<double> ifd = {}, rifd = {};
  std::optional<bool> correct = {};
  std::optional<double> gain = {};  // nats a token, over the row's corrections
  std::int64_t tokens = 0;          // of the response
  std::uint64_t content = 0;        // hash of what exact duplicates share; 0: shares nothing
  bool contaminated = false;
};

// In the order in which they are applied.
enum class Gate {
  kPrefilter,
  kStatus,
  kCorrectness,
  kChoice,
  kIfd,
  kRifd,
  kGain,
  kLength,
  kExactDuplicates,
  kNearDuplicates,
  kDecontamination,
  kTop,
  kDiversity,
};
inline constexpr int kGates = 13;
std::string_view name_of(Gate gate);  // "prefilter", "status", "correctness", ...

enum class Decision {
  kKept,
  kPrefiltered,  // a small model did not rank it high enough
  kTooLong,      // the status of its scores, as the next two
  kEmpty,
  kNonFinite,
  kWrongAnswer,
  kIncompleteGroup,  // no usable original to compare with
  kNotChosen,        // another candidate of the group was
  kNotReflected,     // selective-script: the choice fell on original or Q
  kLowIfd,
  kHighIfd,
  kHighRifd,
  kLowGain,
  kShortResponse,
  kLongResponse,
  kDuplicate,
  kNearDuplicate,
  kContaminated,
  kBelowTop,    // cherry, superfilter's pool
  kNotDiverse,  // diverse, superfilter
};
inline constexpr int kDecisions = 20;
std::string_view reason_of(Decision decision);  // "kept", "prefiltered", "too_long", ...
Gate gate_of(Decision decision);                // of a drop

// Throws Error (usage) for settings that mean nothing.
void check(const SelectionConfig& config);

// Chooses `count` of the candidates numbered in `pool`, spread over all of them. Where it is absent
// the first ones stand for the choice: good for counting.
using DiverseChoice = std::function<std::vector<std::size_t>(const std::vector<std::size_t>& pool,
                                                             std::size_t count)>;

// What the gates need beside the candidates' own numbers.
struct SelectionTools {
  const NearDuplicates* near_duplicates = nullptr;  // its texts are the candidates
  DiverseChoice diverse = {};
};

struct Selection {
  std::vector<Decision> decisions;  // one per candidate
  // Of a dropped (near) duplicate: the kept candidate, and how similar the two are.
  std::map<std::size_t, NearDuplicates::Match> duplicate_of;
  std::size_t kept() const;
};

// Gates, then the policy: Selective Reflection-Tuning (arXiv 2402.10110), Cherry (arXiv 2308.12032)
// or Superfiltering (arXiv 2402.00530). Two things cross the gates' order. The selective choice
// comes after correctness and before the other gates, which hold for the chosen candidate; a
// candidate that is missing, failed or wrong wins no comparison, but a wrong original is still what
// the others are compared with. Ties (equal IFD at the border of a fraction, duplicates) go to the
// earlier row.
Selection select(const std::vector<Candidate>& candidates, const SelectionConfig& config,
                 const SelectionTools& tools = {});

}  // namespace reflect
