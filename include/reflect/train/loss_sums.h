// Sums of losses over trained tokens and over pairs, from which means over packs and ranks come.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "reflect/dist/process_group.h"
#include "reflect/train/pack_inputs.h"
#include "reflect/train/preference.h"

namespace reflect {

// Sums over pairs of rows.
struct PreferenceSums {
  double loss = 0;  // divided by the totals of all packs
  double chosen_reward = 0, rejected_reward = 0;
  std::int64_t pairs = 0, right = 0;  // right: the chosen response has the larger reward
  void add(const PreferenceLoss& loss);
};

// Sums over trained tokens, by span type.
struct LossSums {
  double weighted = 0;  // sum of weight * nll
  double weight = 0;
  std::array<double, 7> nll = {};           // by SpanType; last: end of turn and earlier turns
  std::array<std::int64_t, 7> tokens = {};  // likewise
  PreferenceSums preference;                // where rows are pairs

  void add(const PackInputs& inputs, const at::Tensor& nll_of_target);
  void add_other_ranks(ProcessGroup& group);
  double mean() const { return preference.pairs > 0 ? preference.loss : weighted / weight; }
  std::int64_t trained_tokens() const;
};

// Mean nll by the name of the span type; types without a token are left out.
nlohmann::ordered_json loss_by_span(const LossSums& sums);

nlohmann::ordered_json json_of(const PreferenceSums& sums);

// Adds up each number over all ranks.
void sum_over_ranks(ProcessGroup& group, const std::vector<double*>& sums,
                    const std::vector<std::int64_t*>& counts);

}  // namespace reflect
