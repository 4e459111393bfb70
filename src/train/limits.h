// How long the rows and packs of a run may be.
#pragma once

#include "reflect/train/train.h"

namespace reflect {

// In tokens. Throws Error (usage) when --max_seq_length is more than the model's window.
std::int64_t max_seq_length_of(const TrainConfig& config);

// Rows that stay together in a pack: two of a pair.
std::int64_t rows_of_item(const TrainConfig& config);

// Tokens of a full pack.
std::int64_t pack_capacity_of(const TrainConfig& config);

}  // namespace reflect
