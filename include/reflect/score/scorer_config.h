// How much a scorer reads at once.
#pragma once

#include <cstdint>

namespace reflect {

struct ScorerConfig {
  std::int64_t max_batch_tokens = 2048;
  std::int64_t max_length = 0;
  void visit(auto& v) {
    v("max-batch-tokens", max_batch_tokens, "Tokens of one packed forward pass.");
    v("max-length", max_length,
      "Longest pass in tokens; 0: the model's window (2048 with --parity reference).");
  }
};

}  // namespace reflect
