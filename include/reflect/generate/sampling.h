// How the next token of a row is chosen from its logits.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace reflect {

// The filters work in the order of Hugging Face transformers: repetition penalty, temperature,
// top-k, top-p, min-p; each sees only what the one before has kept.
struct SamplingConfig {
  double temperature = 0;  // 0: greedy; the repetition penalty still applies
  double top_p = 1;
  std::int64_t top_k = 0;  // 0: off
  double min_p = 0;
  double repetition_penalty = 1;
  std::int64_t max_new_tokens = 512;
  std::vector<std::string> stop;  // generation ends when the text holds one of these

  void visit(auto& v) {
    v("temperature", temperature, "Divides the logits; 0: greedy.");
    v("top_p", top_p, "Smallest set of tokens with this probability mass; 1: off.");
    v("top_k", top_k, "Only the k most likely tokens; 0: off.");
    v("min_p", min_p, "Only tokens at least this share of the likeliest one; 0: off.");
    v("repetition_penalty", repetition_penalty, "Divides logits of tokens already there; 1: off.");
    v("max_new_tokens", max_new_tokens, "Longest continuation in tokens.");
    v("stop", stop, "Strings that end the text (they are not part of it).");
  }
};

// Throws Error (usage) that names the field, its value and the range.
void validate(const SamplingConfig& config);

}  // namespace reflect
