#include "score/summary.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "reflect/base/error.h"
#include "reflect/base/quantile.h"

namespace reflect {

namespace {

constexpr const char* kRatios[] = {"ifd_ppl", "ifd_loss", "rifd_ppl", "rifd_loss"};

// Mean with its 95 % interval by the normal approximation; the mean alone for one value.
struct MeanInterval {
  double mean, low, high;
};

MeanInterval mean_interval(const std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  const double half = n > 1 ? 1.96 * std::sqrt(squares / (n - 1) / n) : 0;
  return {mean, mean - half, mean + half};
}

std::string ratio_line(std::string_view name, std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const double mean =
      std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  return fmt::format("{:<10} {:>7} {:>8.4f} {:>8.4f} {:>8.4f} {:>8.4f} {:>8.4f} {:>8.4f}\n", name,
                     values.size(), mean, quantile(values, 0.05), quantile(values, 0.25),
                     quantile(values, 0.5), quantile(values, 0.75), quantile(values, 0.95));
}

}  // namespace

void Summary::add(const Json& row, Decision decision) {
  ++rows_;
  ++decisions_[static_cast<int>(decision)];
  const Json& scores = row.at("scores");
  ++statuses_[scores.at("status").get<std::string>()];
  for (const char* name : kRatios)
    if (scores.at(name).is_number()) values_[name].push_back(scores.at(name).get<double>());
  if (scores.contains("gains")) add_gains(scores.at("gains"));
}

void Summary::add_gains(const Json& gains) {
  for (const Json& gain : gains) {
    if (!gain.contains("gain")) continue;
    gains_.push_back(gain.at("gain").get<double>());
    if (!gain.at("other_gain").is_number()) continue;
    own_.push_back(gains_.back());
    other_.push_back(gain.at("other_gain").get<double>());
  }
}

std::string Summary::gain_lines() const {
  if (gains_.empty()) return "";
  const MeanInterval gain = mean_interval(gains_);
  std::string text =
      fmt::format("\nspan gain {:.4f} [{:.4f}, {:.4f}] nats a token, {} reflections\n", gain.mean,
                  gain.low, gain.high, gains_.size());
  if (own_.empty()) return text;
  std::vector<double> differences;
  for (std::size_t i = 0; i < own_.size(); ++i) differences.push_back(own_[i] - other_[i]);
  const MeanInterval other = mean_interval(other_), less = mean_interval(differences);
  return text + fmt::format(
                    "with another row's reflection in its place {:.4f} [{:.4f}, {:.4f}]; own minus "
                    "other {:.4f} [{:.4f}, {:.4f}], {} reflections\n",
                    other.mean, other.low, other.high, less.mean, less.low, less.high, own_.size());
}

bool Summary::mostly_unhelped() const {
  const auto found = values_.find("ifd_ppl");
  if (found == values_.end()) return false;
  const auto above = std::count_if(found->second.begin(), found->second.end(),
                                   [](double value) { return value > 1; });
  return static_cast<std::size_t>(2 * above) > found->second.size();
}

std::string Summary::table() const {
  std::string text = fmt::format("{:<10} {:>7} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}\n", "score",
                                 "rows", "mean", "5 %", "25 %", "median", "75 %", "95 %");
  for (const char* name : kRatios)
    if (values_.contains(name)) text += ratio_line(name, values_.at(name));
  text += fmt::format("\n{:<18} {:>7}\n", "status", "rows");
  for (const auto& [status, count] : statuses_)
    text += fmt::format("{:<18} {:>7}\n", status, count);
  return text;
}

Json Summary::json() const {
  Json json = {{"rows", rows_}, {"statuses", statuses_}, {"decisions", Json::object()}};
  for (int i = 0; i < kDecisions; ++i)
    json["decisions"][std::string(reason_of(static_cast<Decision>(i)))] = decisions_[i];
  return json;
}

}  // namespace reflect
