#include "recipes/mistake_plan.h"

#include <algorithm>
#include <numeric>

namespace reflect {
namespace {

std::vector<ErrorKind> all_kinds() {
  std::vector<ErrorKind> kinds;
  for (std::size_t i = 0; i < kErrorKinds; ++i) kinds.push_back(static_cast<ErrorKind>(i));
  return kinds;
}

double weight_in(const ErrorProfile& profile, ErrorKind kind) {
  if (profile.kinds.empty()) return 1;
  const auto found = profile.kinds.find(std::string(name_of(kind)));
  return found == profile.kinds.end() ? 0 : found->second;
}

// An index drawn by weight; the number of weights where all are 0.
std::size_t draw(const std::vector<double>& weights, Random& random) {
  double left = random.uniform() * std::accumulate(weights.begin(), weights.end(), 0.0);
  std::size_t last = weights.size();
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] == 0) continue;
    if (left < weights[i]) return i;
    left -= weights[i];
    last = i;  // taken where rounding leaves a rest
  }
  return last;
}

class MistakePlanner {
 public:
  MistakePlanner(const InjectPlan& plan, const ExecutedProgram& executed, Random& random,
                 RedrawCounts& redrawn)
      : plan_(plan),
        executed_(executed),
        family_(executed.family),
        program_(executed.program),
        right_(executed.values),
        random_(random),
        redrawn_(redrawn),
        kinds_(kinds_for(plan, family_)),
        taken_(program_.steps.size(), false) {
    for (const ErrorKind kind : kinds_) weights_.push_back(weight_in(*plan.profile, kind));
    if (std::ranges::all_of(weights_, [](double weight) { return weight == 0; })) {
      weights_.assign(kinds_.size(), 1);
    }
  }

  std::vector<PlannedMistake> plan() {
    std::size_t count = 0;
    for (std::size_t i = 0; i < taken_.size(); ++i) count += random_.chance(plan_.q) ? 1 : 0;
    std::vector<PlannedMistake> mistakes;
    for (count = std::max<std::size_t>(count, 1); count > 0; --count) {
      if (const auto mistake = draw_mistake()) mistakes.push_back(*mistake);
    }
    std::ranges::sort(mistakes, {}, &PlannedMistake::position);
    return mistakes;
  }

 private:
  std::optional<PlannedMistake> draw_mistake() {
    const double sum = std::accumulate(weights_.begin(), weights_.end(), 0.0);
    std::vector<double> weights = weights_;
    for (std::size_t i = draw(weights, random_); i < weights.size(); i = draw(weights, random_)) {
      const bool left_out = kinds_[i] == ErrorKind::kTooEarly &&
                            !random_.chance(kept_too_early(plan_, weights_[i] / sum));
      if (!left_out) {
        if (const auto position = draw_position(kinds_[i])) {
          return PlannedMistake{*position, kinds_[i]};
        }
        ++redrawn_[static_cast<std::size_t>(kinds_[i])];
      }
      weights[i] = 0;
    }
    return std::nullopt;
  }

  std::optional<std::size_t> draw_position(ErrorKind kind) {
    std::vector<double> weights(taken_.size(), 0);
    KnownValues known(right_.size());
    std::copy(program_.given.begin(), program_.given.end(), known.begin());
    for (std::size_t step = 0; step < weights.size(); ++step) {
      if (!taken_[step] && fits(kind, step, known)) {
        weights[step] = plan_.profile->weight_of({step, weights.size()});
      }
      known[program_.quantity_of(step)] = right_[program_.quantity_of(step)];
    }
    const std::size_t position = draw(weights, random_);
    if (position == weights.size()) return std::nullopt;
    taken_[position] = true;
    return position;
  }

  // Where steps come in any order it is not known yet which one stands there.
  bool fits(ErrorKind kind, std::size_t step, const KnownValues& known) {
    const bool is_last = step + 1 == program_.steps.size();
    if (kind == ErrorKind::kTooEarly) return !is_last;
    if (family_.any_order()) return true;
    for (int attempt = 0; attempt < 2; ++attempt) {  // a proposal that changes nothing is chance
      if (wrong_execution(kind, executed_, known, step, random_)) return true;
    }
    return false;
  }

  const InjectPlan& plan_;
  const ExecutedProgram& executed_;
  const Family& family_;
  const Program& program_;
  const std::vector<StepValue>& right_;
  Random& random_;
  RedrawCounts& redrawn_;
  std::vector<ErrorKind> kinds_;
  std::vector<double> weights_;
  std::vector<bool> taken_;
};

}  // namespace

std::vector<ErrorKind> kinds_for(const InjectPlan& plan, const Family& family) {
  std::vector<ErrorKind> kinds = plan.kinds.empty() ? all_kinds() : plan.kinds;
  if (plan.profile && !plan.profile->kinds.empty()) {
    std::vector<ErrorKind> weighted = kinds;
    std::erase_if(weighted, [&](ErrorKind kind) {
      const bool suits = kind != ErrorKind::kPrecedence || family.infix();
      return !suits || weight_in(*plan.profile, kind) == 0;
    });
    if (!weighted.empty()) return weighted;
  }
  if (!plan.kinds.empty()) return kinds;
  if (family.any_order()) return {ErrorKind::kTooEarly};
  if (!family.infix()) std::erase(kinds, ErrorKind::kPrecedence);
  return kinds;
}

double kept_too_early(const InjectPlan& plan, double share) {
  const double probability = plan.q * share;
  return probability <= plan.max_too_early ? 1 : plan.max_too_early / probability;
}

std::vector<PlannedMistake> plan_mistakes(const InjectPlan& plan, const ExecutedProgram& executed,
                                          Random& random, RedrawCounts& redrawn) {
  return MistakePlanner(plan, executed, random, redrawn).plan();
}

}  // namespace reflect
