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
    case ScoreStatus::kPrefiltered:
      return Decision::kPrefiltered;
  }
  return Decision::kNonFinite;
}

// The candidates of one problem that may be compared; null where missing, failed or wrong.
struct Group {
  const Candidate *original = nullptr, *q = nullptr, *a = nullptr, *qa = nullptr;
  // The first of a kind counts.
  void add(const Candidate& candidate) {
    if (candidate.status != ScoreStatus::kOk) return;
    if (candidate.variant == "original" && !original) original = &candidate;
    if (candidate.correct == false) return;
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

// The gates one after another over the decisions so far.
class Selector {
 public:
  Selector(const std::vector<Candidate>& candidates, const SelectionConfig& config,
           const SelectionTools& tools)
      : candidates_(candidates), config_(config), tools_(tools) {}

  Selection run() {
    for (const Candidate& candidate : candidates_)
      selection_.decisions.push_back(decision_of(candidate.status));
    drop(&Selector::by_correctness);
    if (config_.policy.starts_with("selective")) drop_not_chosen();
    drop(&Selector::by_ratio);
    drop(&Selector::by_gain_and_length);
    if (config_.exact_duplicates) drop_duplicates();
    if (config_.near_duplicates > 0 && tools_.near_duplicates) drop_near_duplicates();
    drop(&Selector::by_benchmarks);
    apply_fractions();
    return std::move(selection_);
  }

 private:
  std::vector<std::size_t> left() const {
    std::vector<std::size_t> rows;
    for (std::size_t i = 0; i < candidates_.size(); ++i)
      if (selection_.decisions[i] == Decision::kKept) rows.push_back(i);
    return rows;
  }

  void drop(Decision (Selector::*decide)(const Candidate&) const) {
    for (const std::size_t i : left()) selection_.decisions[i] = (this->*decide)(candidates_[i]);
  }

  Decision by_correctness(const Candidate& candidate) const {
    return candidate.correct == false ? Decision::kWrongAnswer : Decision::kKept;
  }

  Decision by_ratio(const Candidate& candidate) const {
    const std::optional<double>&ifd = candidate.ifd, &rifd = candidate.rifd;
    if (config_.min_ifd > 0 && ifd && *ifd < config_.min_ifd) return Decision::kLowIfd;
    if (config_.max_ifd > 0 && ifd && *ifd >= config_.max_ifd) return Decision::kHighIfd;
    if (config_.max_rifd > 0 && rifd && *rifd >= config_.max_rifd) return Decision::kHighRifd;
    return Decision::kKept;
  }

  Decision by_gain_and_length(const Candidate& candidate) const {
    if (config_.min_gain > kNoGainGate && candidate.gain && *candidate.gain < config_.min_gain)
      return Decision::kLowGain;
    if (candidate.tokens < config_.min_tokens) return Decision::kShortResponse;
    if (config_.max_tokens > 0 && candidate.tokens > config_.max_tokens)
      return Decision::kLongResponse;
    return Decision::kKept;
  }

  Decision by_benchmarks(const Candidate& candidate) const {
    return candidate.contaminated ? Decision::kContaminated : Decision::kKept;
  }

  void drop_not_chosen() {
    std::unordered_map<std::string, Group> groups;
    for (const Candidate& candidate : candidates_) groups[candidate.group].add(candidate);
    for (const std::size_t i : left()) {
      const Group& group = groups.at(candidates_[i].group);
      const Candidate* chosen = choose(group);
      if (!chosen)
        selection_.decisions[i] = Decision::kIncompleteGroup;
      else if (chosen != &candidates_[i])
        selection_.decisions[i] = Decision::kNotChosen;
      else if (config_.policy == "selective-script" && chosen != group.a && chosen != group.qa)
        selection_.decisions[i] = Decision::kNotReflected;
    }
  }

  void drop_duplicates() {
    std::unordered_map<std::uint64_t, std::size_t> first;
    for (const std::size_t i : left()) {
      if (candidates_[i].content == 0) continue;
      const auto [kept, is_new] = first.emplace(candidates_[i].content, i);
      if (is_new) continue;
      selection_.decisions[i] = Decision::kDuplicate;
      selection_.duplicate_of[i] = {kept->second, 1};
    }
  }

  void drop_near_duplicates() {
    const std::vector<std::size_t> rows = left();
    const auto matches = tools_.near_duplicates->find(rows, config_.near_duplicates);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (!matches[i]) continue;
      selection_.decisions[rows[i]] = Decision::kNearDuplicate;
      selection_.duplicate_of[rows[i]] = *matches[i];
    }
  }

  std::size_t share(double fraction) const {
    return static_cast<std::size_t>(
        std::llround(fraction * static_cast<double>(candidates_.size())));
  }

  // Those of highest IFD stay.
  void drop_below(std::size_t wanted) {
    std::vector<std::size_t> rows = left();
    std::stable_sort(rows.begin(), rows.end(), [&](std::size_t x, std::size_t y) {
      return candidates_[x].ifd > candidates_[y].ifd;
    });
    for (std::size_t i = wanted; i < rows.size(); ++i)
      selection_.decisions[rows[i]] = Decision::kBelowTop;
  }

  void drop_not_diverse(std::size_t wanted) {
    std::vector<std::size_t> rows = left();
    if (rows.size() <= wanted) return;
    for (const std::size_t i : rows) selection_.decisions[i] = Decision::kNotDiverse;
    const auto chosen =
        tools_.diverse ? tools_.diverse(rows, wanted)
                       : std::vector(rows.begin(),
                                     std::next(rows.begin(), static_cast<std::ptrdiff_t>(wanted)));
    for (const std::size_t i : chosen) selection_.decisions[i] = Decision::kKept;
  }

  void apply_fractions() {
    const bool superfilter = config_.policy == "superfilter";
    if (superfilter) drop_below(share(config_.pool_fraction));
    if (superfilter || config_.policy == "diverse")
      drop_not_diverse(share(config_.top_fraction));
    else if (config_.top_fraction < 1)
      drop_below(share(config_.top_fraction));
  }

  const std::vector<Candidate>& candidates_;
  const SelectionConfig& config_;
  const SelectionTools& tools_;
  Selection selection_;
};

void check_fractions(const SelectionConfig& config) {
  if (!(config.top_fraction > 0 && config.top_fraction <= 1))
    fail_usage("select", "--selection.top-fraction {} must be above 0 and at most 1",
               config.top_fraction);
  const bool by_fraction =
      config.policy == "cherry" || config.policy == "diverse" || config.policy == "superfilter";
  if (by_fraction && config.top_fraction == 1)
    fail_usage(
        "select",
        "--selection.policy {} keeps a share of the rows; set --selection.top-fraction below "
        "1, for example 0.1",
        config.policy);
  if (config.policy == "superfilter" &&
      !(config.pool_fraction >= config.top_fraction && config.pool_fraction <= 1))
    fail_usage("select",
               "--selection.pool-fraction {} must be at least the top fraction {} and at most 1",
               config.pool_fraction, config.top_fraction);
}

}  // namespace

void check(const SelectionConfig& config) {
  check_fractions(config);
  if (!(config.min_ifd >= 0 && config.max_ifd >= 0 && config.max_rifd >= 0))
    fail_usage(
        "select",
        "--selection.min-ifd {}, --selection.max-ifd {} and --selection.max-rifd {} must not "
        "be negative; 0 turns a gate off",
        config.min_ifd, config.max_ifd, config.max_rifd);
  if (config.max_ifd > 0 && config.min_ifd >= config.max_ifd)
    fail_usage("select", "--selection.min-ifd {} leaves nothing below --selection.max-ifd {}",
               config.min_ifd, config.max_ifd);
  if (std::isnan(config.min_gain))
    fail_usage("select", "--selection.min-gain must be a number; {} turns the gate off",
               kNoGainGate);
  if (config.min_tokens < 0 || config.max_tokens < 0 ||
      (config.max_tokens > 0 && config.min_tokens > config.max_tokens))
    fail_usage("select",
               "--selection.min-tokens {} and --selection.max-tokens {} leave no length; 0 turns a "
               "gate off",
               config.min_tokens, config.max_tokens);
  if (!(config.near_duplicates >= 0 && config.near_duplicates <= 1))
    fail_usage("select", "--selection.near-duplicates {} must lie between 0 (no such gate) and 1",
               config.near_duplicates);
}

std::size_t Selection::kept() const {
  return static_cast<std::size_t>(std::count(decisions.begin(), decisions.end(), Decision::kKept));
}

Selection select(const std::vector<Candidate>& candidates, const SelectionConfig& config,
                 const SelectionTools& tools) {
  check(config);
  return Selector(candidates, config, tools).run();
}

}  // namespace reflect
