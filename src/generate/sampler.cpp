// Filters on logits and the draw from what they leave.
#include "generate/sampler.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "reflect/base/error.h"

namespace reflect {
namespace {

constexpr double kNegligible = -40;  // natural logarithm of a share of the likeliest token

// Unnormalised probabilities of the candidates: 1 for the likeliest token.
struct Weights {
  std::vector<std::int32_t> ids;
  std::vector<double> values;

  double sum() const {
    double total = 0;
    for (const double value : values) total += value;
    return total;
  }

  void keep_at_least(double floor) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (values[i] < floor) continue;
      ids[kept] = ids[i];
      values[kept++] = values[i];
    }
    ids.resize(kept);
    values.resize(kept);
  }
};

float kth_largest(std::span<const float> logits, std::int64_t k) {
  std::vector<float> largest(k);
  std::partial_sort_copy(logits.begin(), logits.end(), largest.begin(), largest.end(),
                         std::greater<float>());
  return largest.back();
}

Weights weights_of(std::span<const float> logits, const SamplingConfig& config) {
  const double best = logits[likeliest(logits)];
  const auto vocabulary = static_cast<std::int64_t>(logits.size());
  double floor = best + kNegligible * config.temperature;
  if (config.top_k > 0 && config.top_k < vocabulary) {
    floor = std::max<double>(floor, kth_largest(logits, config.top_k));
  }
  Weights weights;
  weights.ids.reserve(vocabulary);
  weights.values.reserve(vocabulary);
  for (std::int64_t id = 0; id < vocabulary; ++id) {
    if (!(logits[id] >= floor)) continue;
    weights.ids.push_back(static_cast<std::int32_t>(id));
    weights.values.push_back(std::exp((logits[id] - best) / config.temperature));
  }
  return weights;
}

// The smallest value v such that the values <= v sum to more than `mass`: quickselect that counts
// by mass instead of by number.
double value_at_mass(std::vector<double> values, double mass) {
  auto begin = values.begin();
  auto end = values.end();
  while (end - begin > 1) {
    const double pivot = begin[(end - begin) / 2];
    const auto equal = std::partition(begin, end, [&](double v) { return v < pivot; });
    const auto above = std::partition(equal, end, [&](double v) { return v == pivot; });
    double below_mass = 0;
    for (auto it = begin; it != equal; ++it) below_mass += *it;
    const double pivot_mass = below_mass + pivot * static_cast<double>(above - equal);
    if (below_mass > mass) {
      end = equal;
    } else if (pivot_mass > mass || above == end) {
      return pivot;
    } else {
      mass -= pivot_mass;
      begin = above;
    }
  }
  return *begin;
}

}  // namespace

void validate(const SamplingConfig& config) {
  const auto require = [](bool good, const char* name, double value, const char* range) {
    if (!good) fail_usage("sampling", "{} is {}; it must be {}", name, value, range);
  };
  require(config.temperature >= 0 && std::isfinite(config.temperature), "temperature",
          config.temperature, "0 (greedy) or positive");
  require(config.top_p > 0 && config.top_p <= 1, "top_p", config.top_p, "above 0 and at most 1");
  require(config.top_k >= 0, "top_k", static_cast<double>(config.top_k), "0 (off) or positive");
  require(config.min_p >= 0 && config.min_p <= 1, "min_p", config.min_p, "from 0 to 1");
  require(config.repetition_penalty > 0 && std::isfinite(config.repetition_penalty),
          "repetition_penalty", config.repetition_penalty, "positive; 1 switches it off");
  require(config.max_new_tokens > 0, "max_new_tokens", static_cast<double>(config.max_new_tokens),
          "positive");
  for (const std::string& stop : config.stop) {
    if (stop.empty()) fail_usage("sampling", "a stop string is empty; remove it");
  }
}

std::int32_t likeliest(std::span<const float> logits) {
  float best = -std::numeric_limits<float>::infinity();
  std::int32_t best_id = -1;
  for (std::size_t id = 0; id < logits.size(); ++id) {
    if (logits[id] > best) {
      best = logits[id];
      best_id = static_cast<std::int32_t>(id);
    }
  }
  if (best_id < 0 || !std::isfinite(best)) {
    fail("sampling", "no finite logit among {} tokens; the model's weights or its dtype are broken",
         logits.size());
  }
  return best_id;
}

void penalize_repetition(std::span<float> logits, std::span<const std::int32_t> seen,
                         double penalty) {
  if (penalty == 1) return;
  std::vector<std::int32_t> ids(seen.begin(), seen.end());
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  const auto factor = static_cast<float>(penalty);
  for (const std::int32_t id : ids) {
    if (id < 0 || static_cast<std::size_t>(id) >= logits.size()) continue;
    logits[id] = logits[id] < 0 ? logits[id] * factor : logits[id] / factor;
  }
}

Distribution distribution_of(std::span<const float> logits, const SamplingConfig& config) {
  Weights weights = weights_of(logits, config);
  if (config.top_p < 1) {
    weights.keep_at_least(value_at_mass(weights.values, (1 - config.top_p) * weights.sum()));
  }
  weights.keep_at_least(config.min_p);
  const double total = weights.sum();
  for (double& value : weights.values) value /= total;
  return {std::move(weights.ids), std::move(weights.values)};
}

std::int32_t draw(const Distribution& distribution, Random random) {
  const double target = random.uniform();
  double mass = 0;
  for (std::size_t i = 0; i < distribution.ids.size(); ++i) {
    mass += distribution.probabilities[i];
    if (target < mass) return distribution.ids[i];
  }
  return distribution.ids.back();
}

}  // namespace reflect
