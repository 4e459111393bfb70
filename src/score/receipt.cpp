#include "score/receipt.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace reflect {

namespace {

std::string window(const std::string& name, double low, double high) {
  if (low > 0 && high > 0) return fmt::format("{:g} <= {} < {:g}", low, name, high);
  if (high > 0) return fmt::format("{} < {:g}", name, high);
  return low > 0 ? fmt::format("{} >= {:g}", name, low) : "";
}

std::string length_setting(const SelectionConfig& config) {
  if (config.max_tokens > 0)
    return fmt::format("{} to {} tokens", config.min_tokens, config.max_tokens);
  return config.min_tokens > 0 ? fmt::format("{} tokens or more", config.min_tokens) : "";
}

// What a gate is set to; empty: it is off.
std::string setting_of(Gate gate, const ScoreConfig& config) {
  const SelectionConfig& selection = config.selection;
  const bool by_diversity = selection.policy == "diverse" || selection.policy == "superfilter";
  switch (gate) {
    case Gate::kPrefilter:
      return config.prefilter.model.empty()
                 ? ""
                 : fmt::format("top {:g} % by a small model's IFD", 100 * config.prefilter.keep);
    case Gate::kStatus:
      return "scored without failure";
    case Gate::kCorrectness:
      return selection.correct == "off" ? "" : selection.correct;
    case Gate::kChoice:
      return selection.policy.starts_with("selective") ? selection.policy : "";
    case Gate::kIfd:
      return window("IFD", selection.min_ifd, selection.max_ifd);
    case Gate::kRifd:
      return window("r-IFD", 0, selection.max_rifd);
    case Gate::kGain:
      return selection.min_gain > kNoGainGate
                 ? fmt::format("{} tokens >= {:g} nats a token", selection.gain, selection.min_gain)
                 : "";
    case Gate::kLength:
      return length_setting(selection);
    case Gate::kExactDuplicates:
      return selection.exact_duplicates ? "same messages and response" : "";
    case Gate::kNearDuplicates:
      return selection.near_duplicates > 0
                 ? fmt::format("Jaccard of 5-grams < {:g}", selection.near_duplicates)
                 : "";
    case Gate::kDecontamination:
      return config.decontaminate.empty()
                 ? ""
                 : fmt::format("13-gram, 8-gram ratio {:g}", config.decontaminate_ratio);
    case Gate::kTop:
      if (selection.policy == "superfilter")
        return fmt::format("pool of {:g} % by IFD", 100 * selection.pool_fraction);
      return !by_diversity && selection.top_fraction < 1
                 ? fmt::format("top {:g} % by IFD", 100 * selection.top_fraction)
                 : "";
    case Gate::kDiversity:
      return by_diversity ? fmt::format("{:g} % by facility location", 100 * selection.top_fraction)
                          : "";
  }
  return "";
}

std::vector<GateYield> yields_of(const ScoreConfig& config, const Selection& selection) {
  std::array<std::size_t, kDecisions> counts{};
  for (const Decision decision : selection.decisions) ++counts[static_cast<std::size_t>(decision)];
  std::vector<GateYield> gates;
  std::size_t left = selection.decisions.size();
  for (int g = 0; g < kGates; ++g) {
    GateYield yield{
        .gate = static_cast<Gate>(g), .setting = {}, .in = left, .out = left, .dropped = {}};
    for (int d = 1; d < kDecisions; ++d) {
      const auto decision = static_cast<Decision>(d);
      if (gate_of(decision) != yield.gate || counts[static_cast<std::size_t>(d)] == 0) continue;
      yield.dropped.emplace_back(reason_of(decision), counts[static_cast<std::size_t>(d)]);
      yield.out -= counts[static_cast<std::size_t>(d)];
    }
    yield.setting = setting_of(yield.gate, config);
    left = yield.out;
    if (!yield.setting.empty()) gates.push_back(std::move(yield));
  }
  return gates;
}

// A round width with at most `bins` bins over the middle 98 % of the values.
Histogram histogram_of(const std::string& score, const std::string& unit,
                       const std::vector<std::optional<double>>& values,
                       const std::vector<Decision>& decisions) {
  constexpr double kBins = 40;
  Histogram histogram;
  histogram.score = score;
  histogram.unit = unit;
  std::vector<double> sorted;
  for (const auto& value : values)
    if (value) sorted.push_back(*value);
  histogram.absent = values.size() - sorted.size();
  if (sorted.empty()) return histogram;
  std::sort(sorted.begin(), sorted.end());
  const std::size_t cut = sorted.size() / 100;
  const double low = sorted[cut], high = sorted[sorted.size() - 1 - cut];
  const double least = std::max((high - low) / kBins, 1e-9);
  const double power = std::pow(10, std::floor(std::log10(least)));
  double width = 10 * power;
  for (const double round : {5.0, 2.0, 1.0})
    if (round * power >= least) width = round * power;
  histogram.bin_width = unit == "tokens" ? std::max(1.0, width) : width;
  histogram.low = std::floor(low / histogram.bin_width) * histogram.bin_width;
  const auto bins =
      static_cast<std::size_t>(std::floor((high - histogram.low) / histogram.bin_width)) + 1;
  histogram.all.assign(bins, 0);
  histogram.kept.assign(bins, 0);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!values[i]) continue;
    const double at = std::floor((*values[i] - histogram.low) / histogram.bin_width);
    if (at < 0) {
      ++histogram.below;
    } else if (at >= static_cast<double>(bins)) {
      ++histogram.above;
    } else {
      ++histogram.all[static_cast<std::size_t>(at)];
      histogram.kept[static_cast<std::size_t>(at)] += decisions[i] == Decision::kKept;
    }
  }
  return histogram;
}

std::vector<Histogram> histograms_of(const std::vector<Candidate>& candidates,
                                     const std::vector<Decision>& decisions) {
  const auto values = [&](auto value) {
    std::vector<std::optional<double>> all;
    for (const Candidate& candidate : candidates) all.push_back(value(candidate));
    return all;
  };
  std::vector<Histogram> histograms = {
      histogram_of("IFD", "", values([](const Candidate& c) { return c.ifd; }), decisions),
      histogram_of("r-IFD", "", values([](const Candidate& c) { return c.rifd; }), decisions),
      histogram_of("span gain", "nats a token", values([](const Candidate& c) { return c.gain; }),
                   decisions),
      histogram_of("response length", "tokens", values([](const Candidate& c) {
                     return c.status == ScoreStatus::kOk
                                ? std::optional(static_cast<double>(c.tokens))
                                : std::nullopt;
                   }),
                   decisions)};
  std::erase_if(histograms, [](const Histogram& histogram) { return histogram.all.empty(); });
  return histograms;
}

double percent(std::size_t part, std::size_t whole) {
  return whole == 0 ? 0 : 100 * static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

Receipt receipt_of(const ScoreConfig& config, const Candidates& candidates,
                   const Selection& selection) {
  return {.rows = candidates.list().size(),
          .kept = selection.kept(),
          .gates = yields_of(config, selection),
          .sensitivity = sensitivity_of(config, candidates),
          .histograms = histograms_of(candidates.list(), selection.decisions)};
}

Json Receipt::json() const {
  Json json = {{"rows", rows}, {"kept", kept}, {"gates", Json::array()}};
  for (const GateYield& yield : gates) {
    Json dropped = Json::object();
    for (const auto& [reason, count] : yield.dropped) dropped[std::string(reason)] = count;
    json["gates"].push_back({{"gate", name_of(yield.gate)},
                             {"setting", yield.setting},
                             {"in", yield.in},
                             {"dropped", dropped},
                             {"out", yield.out}});
  }
  json["sensitivity"] = Json::array();
  for (const Sensitivity& one : sensitivity) {
    Json points = Json::array();
    for (const Sensitivity::Point& point : one.points) {
      points.push_back({{"value", point.value}, {"kept", point.kept}});
      if (point.unscored > 0) points.back()["unscored"] = point.unscored;
    }
    json["sensitivity"].push_back(
        {{"setting", one.setting}, {"value", one.value}, {"points", points}});
  }
  json["histograms"] = Json::array();
  for (const Histogram& h : histograms)
    json["histograms"].push_back({{"score", h.score},
                                  {"unit", h.unit},
                                  {"low", h.low},
                                  {"bin_width", h.bin_width},
                                  {"all", h.all},
                                  {"kept", h.kept},
                                  {"below", h.below},
                                  {"above", h.above},
                                  {"absent", h.absent}});
  return json;
}

std::string Receipt::table() const {
  std::string text = fmt::format("{:<17} {:<34} {:>8} {:>8} {:>8} {:>8}\n", "gate", "setting",
                                 "rows in", "dropped", "left", "of all");
  for (const GateYield& yield : gates) {
    text += fmt::format("{:<17} {:<34} {:>8} {:>8} {:>8} {:>6.1f} %\n", name_of(yield.gate),
                        yield.setting, yield.in, yield.in - yield.out, yield.out,
                        percent(yield.out, rows));
    if (yield.dropped.size() < 2) continue;
    for (const auto& [reason, count] : yield.dropped)
      text += fmt::format("  {:<59} {:>8}\n", reason, count);
  }
  for (const Sensitivity& one : sensitivity) {
    text += fmt::format("\nrows kept for another --{}\n", one.setting);
    std::size_t width = 9;
    for (const auto& point : one.points) width = std::max(width, point.text().size());
    for (const auto& point : one.points) text += fmt::format(" {:>{}.4g}", point.value, width);
    text += '\n';
    for (const auto& point : one.points) text += fmt::format(" {:>{}}", point.text(), width);
    text += '\n';
  }
  return text;
}

}  // namespace reflect
