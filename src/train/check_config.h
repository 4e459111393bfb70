// What the settings of reflect-train must be, as far as they tell by themselves.
#pragma once

#include <vector>

#include "reflect/base/config.h"
#include "reflect/train/train.h"

namespace reflect {

// Whether a group of settings is as it is by default.
template <class Config>
bool is_standard(Config config) {
  Config standard;
  return to_yaml(fields_of(config)) == to_yaml(fields_of(standard));
}

// Throws Error (usage) with the first setting that is out of range, misses another one or would do
// nothing.
void check_config(const TrainConfig& config);

// The numbers of --mix.
std::vector<double> mix_shares(const TrainConfig& config);

}  // namespace reflect
