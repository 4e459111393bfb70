#include "limits.h"

#include <algorithm>

namespace reflect {

std::int64_t max_seq_length_of(const TrainConfig& config) {
  const std::int64_t window = read_llama_config(config.model).max_position_embeddings;
  if (config.max_seq_length == 0) return std::min<std::int64_t>(window, 4096);
  if (config.max_seq_length > window)
    fail_usage("train", "--max_seq_length {} is more than the model's window of {}",
               config.max_seq_length, window);
  return config.max_seq_length;
}

std::int64_t rows_of_item(const TrainConfig& config) {
  return config.loss.kind == "dpo" ? 2 : 1;
}

std::int64_t pack_capacity_of(const TrainConfig& config) {
  if (config.packing.capacity > 0) return config.packing.capacity;
  return rows_of_item(config) * max_seq_length_of(config);
}

}  // namespace reflect
