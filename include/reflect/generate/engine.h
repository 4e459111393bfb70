// Batched decoding with a KV cache: rows join and leave the batch by a fixed plan, so the same
// requests give the same text whatever the timing.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "reflect/data/tokenizer.h"
#include "reflect/generate/sampling.h"
#include "reflect/model/llama.h"

namespace reflect {

struct GenerateRequest {
  std::vector<std::int32_t> prompt_ids;  // at least one
  SamplingConfig sampling;
  std::uint64_t seed = 0;             // draws are keyed by (seed, position in the continuation)
  std::vector<std::int32_t> end_ids;  // tokens that end the row, not part of the text
  // Strings that the text never holds: a row that completes one goes back to the token that began
  // it and takes its next choice there. So a banned tag is not begun either, however many tokens it
  // has, and what follows comes from a text that the model wrote without it.
  std::vector<std::string> banned_text;
};

enum class FinishReason { kEnd, kStop, kLength, kPromptTooLong };
std::string_view name_of(FinishReason reason);  // "end", "stop", "length", "prompt_too_long"

struct Completion {
  std::vector<std::int32_t> ids;  // without the end token; with those that wrote a stop string
  std::string text;               // special tokens left out; cut before a stop string
  FinishReason finish = FinishReason::kLength;
  double log_probability = 0;  // sum over ids, under the unmodified distribution
};

struct EngineConfig {
  std::int64_t max_batch_rows = 32;
  std::int64_t max_prefill_tokens = 4096;
  void visit(auto& v) {
    v("max_batch_rows", max_batch_rows, "Rows decoded together.");
    v("max_prefill_tokens", max_prefill_tokens, "Prompt tokens computed in one pass.");
  }
};

class Engine {
 public:
  Engine(const Llama& model, const Tokenizer& tokenizer, EngineConfig config,
         const Adapter* adapter = nullptr);
  const Llama& model() const { return model_; }
  const EngineConfig& config() const { return config_; }
  // Completions in request order. `on_done(index, completion)` is called as rows finish, in an
  // order that the requests and the configuration alone decide. A row does not depend on its
  // neighbours (but for rounding: a matrix product may sum in another order when the batch has
  // another size). A signal (base/signals.h) ends the call with an Error; finished rows have been
  // reported.
  std::vector<Completion> generate(
      const std::vector<GenerateRequest>& requests,
      const std::function<void(std::size_t, const Completion&)>& on_done = {}) const;

 private:
  const Llama& model_;
  const Tokenizer& tokenizer_;
  EngineConfig config_;
  const Adapter* adapter_;
};

}  // namespace reflect
