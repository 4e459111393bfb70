#include "score/sensitivity.h"

#include <algorithm>
#include <cmath>

#include "reflect/base/error.h"

namespace reflect {

namespace {

const std::vector<double> kSteps = {-0.2, -0.1, -0.05, 0, 0.05, 0.1, 0.2};
const std::vector<double> kFactors = {0.5, 0.8, 0.9, 1, 1.1, 1.25, 2};
constexpr double kLeast = 1e-6;

// A threshold, and the steps to either side of it that are tried.
struct Threshold {
  const char* name;
  double SelectionConfig::*value;
  double off;  // the value that turns the gate off
  std::vector<double> steps;
  double lowest, highest;  // of a value that means something
};

std::vector<Threshold> thresholds() {
  return {
      {"min-ifd", &SelectionConfig::min_ifd, 0, kSteps, kLeast, 100},
      {"max-ifd", &SelectionConfig::max_ifd, 0, kSteps, kLeast, 100},
      {"max-rifd", &SelectionConfig::max_rifd, 0, kSteps, kLeast, 100},
      {"min-gain", &SelectionConfig::min_gain, kNoGainGate, kSteps, -99, 99},
      {"near-duplicates",
       &SelectionConfig::near_duplicates,
       0,
       {-kNearDuplicateSweep, -0.05, 0, 0.05, 0.1},
       0.05,
       1},
  };
}

std::vector<double> stepped(double value, const std::vector<double>& steps, double lowest,
                            double highest) {
  std::vector<double> values;
  for (const double step : steps)
    if (const double other = std::round((value + step) * 1e9) / 1e9;
        other >= lowest && other <= highest)
      values.push_back(step == 0 ? value : other);
  return values;
}

std::vector<double> scaled(double value, double highest) {
  std::vector<double> values;
  for (const double factor : kFactors) values.push_back(std::min(highest, factor * value));
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

class Sweeps {
 public:
  Sweeps(const ScoreConfig& config, const Candidates& candidates)
      : config_(config), candidates_(candidates) {}

  std::vector<Sensitivity> all() && {
    by_prefilter();
    by_thresholds();
    by_lengths();
    by_decontamination();
    by_fractions();
    return std::move(sweeps_);
  }

 private:
  std::size_t kept(const std::vector<Candidate>& list, const SelectionConfig& selection) const {
    return select(list, selection,
                  {.near_duplicates = candidates_.near_duplicates(), .diverse = {}})
        .kept();
  }

  // The count for each value that passes check(); `set` changes the copy.
  template <class Set>
  void sweep(const std::string& name, double value, const std::vector<double>& values, Set set) {
    Sensitivity result{"selection." + name, value, {}};
    for (const double other : values) {
      SelectionConfig changed = config_.selection;
      set(changed, other);
      try {
        check(changed);
      } catch (const Error&) {
        continue;  // such as a least IFD above the highest
      }
      result.points.push_back({other, kept(candidates_.list(), changed)});
    }
    sweeps_.push_back(std::move(result));
  }

  void by_prefilter() {
    const PrefilterConfig& prefilter = config_.prefilter;
    if (prefilter.model.empty()) return;
    by_prefilter("keep", &PrefilterConfig::keep, scaled(prefilter.keep, 1));
    if (prefilter.max_ifd > 0)
      by_prefilter("max-ifd", &PrefilterConfig::max_ifd,
                   stepped(prefilter.max_ifd, kSteps, kLeast, 100));
  }

  void by_prefilter(const std::string& name, double PrefilterConfig::*member,
                    const std::vector<double>& values) {
    Sensitivity result{"prefilter." + name, config_.prefilter.*member, {}};
    for (const double value : values) {
      PrefilterConfig changed = config_.prefilter;
      changed.*member = value;
      const Prefilter filter(changed, candidates_.prefilter_scores());
      std::vector<Candidate> list = candidates_.list();
      Sensitivity::Point point{value, 0};
      for (std::size_t i = 0; i < list.size(); ++i) {
        if (candidates_.prefilter_scores()[i].status != ScoreStatus::kOk) continue;
        if (!filter.passes(i))
          list[i].status = ScoreStatus::kPrefiltered;
        else
          point.unscored += list[i].status == ScoreStatus::kPrefiltered;
      }
      point.kept = kept(list, config_.selection);
      result.points.push_back(point);
    }
    sweeps_.push_back(std::move(result));
  }

  void by_thresholds() {
    for (const Threshold& threshold : thresholds()) {
      const double value = config_.selection.*threshold.value;
      if (value == threshold.off) continue;
      sweep(threshold.name, value,
            stepped(value, threshold.steps, threshold.lowest, threshold.highest),
            [&](SelectionConfig& c, double v) { c.*threshold.value = v; });
    }
  }

  void by_lengths() {
    for (const auto& [name, member] : {std::pair{"min-tokens", &SelectionConfig::min_tokens},
                                       std::pair{"max-tokens", &SelectionConfig::max_tokens}}) {
      const auto value = static_cast<double>(config_.selection.*member);
      if (value == 0) continue;
      std::vector<double> values;
      for (const double other : scaled(value, 1e15))
        values.push_back(std::max(1.0, std::round(other)));
      values.erase(std::unique(values.begin(), values.end()), values.end());
      sweep(name, value, values,
            [m = member](SelectionConfig& c, double v) { c.*m = static_cast<std::int64_t>(v); });
    }
  }

  void by_decontamination() {
    if (candidates_.benchmarks() == nullptr) return;
    Sensitivity result{"decontaminate-ratio", config_.decontaminate_ratio, {}};
    for (const double value : stepped(config_.decontaminate_ratio, kSteps, kLeast, 1)) {
      std::vector<Candidate> list = candidates_.list();
      for (std::size_t i = 0; i < list.size(); ++i)
        list[i].contaminated = value <= candidates_.contaminated_up_to()[i];
      result.points.push_back({value, kept(list, config_.selection)});
    }
    sweeps_.push_back(std::move(result));
  }

  void by_fractions() {
    const SelectionConfig& selection = config_.selection;
    for (const auto& [name, member, on] :
         {std::tuple{"pool-fraction", &SelectionConfig::pool_fraction,
                     selection.policy == "superfilter"},
          std::tuple{"top-fraction", &SelectionConfig::top_fraction, selection.top_fraction < 1}})
      if (on)
        sweep(name, selection.*member, scaled(selection.*member, 1),
              [m = member](SelectionConfig& c, double v) { c.*m = v; });
  }

  const ScoreConfig& config_;
  const Candidates& candidates_;
  std::vector<Sensitivity> sweeps_;
};

}  // namespace

std::string Sensitivity::Point::text() const {
  return unscored == 0 ? fmt::format("{}", kept) : fmt::format("{}-{}", kept, kept + unscored);
}

std::vector<Sensitivity> sensitivity_of(const ScoreConfig& config, const Candidates& candidates) {
  return Sweeps(config, candidates).all();
}

}  // namespace reflect
