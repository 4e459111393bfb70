#include "reflect/train/loss_sums.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/from_blob.h>

#include <numeric>
#include <string>

namespace reflect {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kNoSpan = 6;  // in the arrays of LossSums

}  // namespace

void LossSums::add(const PackInputs& inputs, const at::Tensor& nll_of_target) {
  const at::Tensor values = nll_of_target.cpu(), weights = inputs.weights.cpu();
  const float* nll_data = values.const_data_ptr<float>();
  const float* weight_data = weights.const_data_ptr<float>();
  for (std::size_t i = 0; i < inputs.span_type.size(); ++i) {
    weighted += static_cast<double>(weight_data[i]) * nll_data[i];
    weight += weight_data[i];
    const std::int8_t span = inputs.span_type[i];
    const std::size_t type = span < 0 ? kNoSpan : static_cast<std::size_t>(span);
    nll[type] += nll_data[i];
    ++tokens[type];
  }
}

void PreferenceSums::add(const PreferenceLoss& pack) {
  loss += pack.sum.item<double>();
  chosen_reward += pack.chosen_reward.sum().item<double>();
  rejected_reward += pack.rejected_reward.sum().item<double>();
  pairs += pack.chosen_reward.numel();
  right += (pack.chosen_reward > pack.rejected_reward).sum().item<std::int64_t>();
}

void LossSums::add_other_ranks(ProcessGroup& group) {
  std::vector<double*> sums = {&weighted, &weight, &preference.loss, &preference.chosen_reward,
                               &preference.rejected_reward};
  for (double& sum : nll) sums.push_back(&sum);
  std::vector<std::int64_t*> counts = {&preference.pairs, &preference.right};
  for (std::int64_t& count : tokens) counts.push_back(&count);
  sum_over_ranks(group, sums, counts);
}

std::int64_t LossSums::trained_tokens() const {
  return std::accumulate(tokens.begin(), tokens.end(), std::int64_t{0});
}

Json loss_by_span(const LossSums& sums) {
  Json result = Json::object();
  for (std::size_t type = 0; type < sums.nll.size(); ++type) {
    if (sums.tokens[type] == 0) continue;
    const auto name = type == kNoSpan ? "other" : name_of(static_cast<SpanType>(type));
    result[std::string(name)] = sums.nll[type] / static_cast<double>(sums.tokens[type]);
  }
  return result;
}

Json json_of(const PreferenceSums& sums) {
  const auto pairs = static_cast<double>(sums.pairs);
  return {{"pairs", sums.pairs},
          {"chosen_reward", sums.chosen_reward / pairs},
          {"rejected_reward", sums.rejected_reward / pairs},
          {"margin", (sums.chosen_reward - sums.rejected_reward) / pairs},
          {"accuracy", static_cast<double>(sums.right) / pairs}};
}

void sum_over_ranks(ProcessGroup& group, const std::vector<double*>& sums,
                    const std::vector<std::int64_t*>& counts) {
  std::vector<double> values;
  for (const double* sum : sums) values.push_back(*sum);
  for (const std::int64_t* count : counts) values.push_back(static_cast<double>(*count));
  group.all_reduce(
      at::from_blob(values.data(), static_cast<std::int64_t>(values.size()), at::kDouble));
  for (std::size_t i = 0; i < sums.size(); ++i) *sums[i] = values[i];
  for (std::size_t i = 0; i < counts.size(); ++i)
    *counts[i] = static_cast<std::int64_t>(values[sums.size() + i]);
}

}  // namespace reflect
