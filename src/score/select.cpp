#include "reflect/score/select.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "reflect/base/error.h"

namespace reflect {

namespace {

Decision decision_of(ScoreStatus status) {
  switch (status) {
    case ScoreStatus::kOk:
      return Decision::kKept;
    case ScoreStatus::kTooLong:
      return Decision::kTooLong;
    case ScoreStatus::kEmpty:
      return Decision::kEmpty;
    case ScoreStatus::kNonFinite:
      return Decision::kNonFinite;
  }
  return Decision::kNonFinite;
}

// The usable candidates of one problem; null where missing or failed.
struct Group {
  const Candidate *original = nullptr, *q = nullptr, *a = nullptr, *qa = nullptr;
  // The first of a kind counts.
  void add(const Candidate& candidate) {
    if (candidate.status != ScoreStatus::kOk) return;
    if (candidate.variant == "original" && !original) original = &candidate;
    if (candidate.variant == "Q" && !q) q = &candidate;
    if (candidate.variant == "A" && !a) a = &candidate;
    if (candidate.variant == "QA" && !qa) qa = &candidate;
  }
};

bool lower_rifd(const Candidate* candidate, const Candidate* than) {
  return candidate && candidate->rifd < than->rifd;
}

// Selective Reflection-Tuning, section 3: a question that is harder for the student, then an answer
// that fits its question better. Null when there is no original.
const Candidate* choose(const Group& group) {
  if (!group.original) return nullptr;
  if (group.q && group.q->ifd > group.original->ifd)
    return lower_rifd(group.qa, group.q) ? group.qa : group.q;
  return lower_rifd(group.a, group.original) ? group.a : group.original;
}

void apply_selective(const std::vector<Candidate>& candidates, bool reflected_only,
                     std::vector<Decision>& decisions) {
  std::unordered_map<std::string, Group> groups;
  for (const Candidate& candidate : candidates) groups[candidate.group].add(candidate);
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (decisions[i] != Decision::kKept) continue;
    const Group& group = groups[candidates[i].group];
    const Candidate* chosen = choose(group);
    if (!chosen)
      decisions[i] = Decision::kIncompleteGroup;
    else if (chosen != &candidates[i])
      decisions[i] = Decision::kNotChosen;
    else if (reflected_only && chosen != group.a && chosen != group.qa)
      decisions[i] = Decision::kNotReflected;
  }
}

bool passes_gate(const std::optional<double>& value, double below) {
  return below == 0 || !value || *value < below;
}

void apply_top_fraction(const std::vector<Candidate>& candidates, double fraction,
                        std::vector<Decision>& decisions) {
  std::vector<std::size_t> left;
  for (std::size_t i = 0; i < candidates.size(); ++i)
    if (decisions[i] == Decision::kKept) left.push_back(i);
  std::stable_sort(left.begin(), left.end(), [&](std::size_t x, std::size_t y) {
    return candidates[x].ifd > candidates[y].ifd;
  });
  const auto wanted =
      static_cast<std::size_t>(std::llround(fraction * static_cast<double>(candidates.size())));
  for (std::size_t i = wanted; i < left.size(); ++i) decisions[left[i]] = Decision::kBelowTop;
}

}  // namespace

void check(const SelectionConfig& config) {
  if (!(config.top_fraction > 0 && config.top_fraction <= 1))
    fail_usage("select", "--selection.top-fraction {} must be above 0 and at most 1",
               config.top_fraction);
  if (!(config.max_ifd >= 0 && config.max_rifd >= 0))
    fail_usage("select",
               "--selection.max-ifd {} and --selection.max-rifd {} must not be negative; 0 turns a "
               "gate off",
               config.max_ifd, config.max_rifd);
}

std::string_view reason_of(Decision decision) {
  switch (decision) {
    case Decision::kKept:
      return "kept";
    case Decision::kTooLong:
      return "too_long";
    case Decision::kEmpty:
      return "empty";
    case Decision::kNonFinite:
      return "non_finite";
    case Decision::kIncompleteGroup:
      return "incomplete_group";
    case Decision::kNotChosen:
      return "not_chosen";
    case Decision::kNotReflected:
      return "not_reflected";
    case Decision::kHighIfd:
      return "high_ifd";
    case Decision::kHighRifd:
      return "high_rifd";
    case Decision::kBelowTop:
      return "below_top";
  }
  return "unknown";
}

std::vector<Decision> select(const std::vector<Candidate>& candidates,
                             const SelectionConfig& config) {
  check(config);
  std::vector<Decision> decisions;
  for (const Candidate& candidate : candidates) decisions.push_back(decision_of(candidate.status));
  if (config.policy != "none")
    apply_selective(candidates, config.policy == "selective-script", decisions);
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (decisions[i] != Decision::kKept) continue;
    if (!passes_gate(candidates[i].ifd, config.max_ifd))
      decisions[i] = Decision::kHighIfd;
    else if (!passes_gate(candidates[i].rifd, config.max_rifd))
      decisions[i] = Decision::kHighRifd;
  }
  if (config.top_fraction < 1) apply_top_fraction(candidates, config.top_fraction, decisions);
  return decisions;
}

}  // namespace reflect
