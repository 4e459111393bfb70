// One request while it is being decoded: its ids and text so far, and what may come next.
#pragma once

#include <map>
#include <optional>
#include <span>

#include "reflect/generate/engine.h"

namespace reflect {

class DecodingRow {
 public:
  // `window`: the longest sequence that the model takes, longer than the prompt. The request and
  // the tokenizer must outlive the row.
  DecodingRow(const GenerateRequest& request, const Tokenizer& tokenizer, std::int64_t window);

  // Chooses the next token from the logits [vocab] that follow the sequence so far;
  // `log_normalizer` is their log-sum-exp. Afterwards either the row is done, or the model must be
  // fed last_id() at position() to get the next logits. When a banned string was completed, the row
  // has gone back to where it began, so position() may be smaller than before.
  void advance(std::span<const float> logits, double log_normalizer);

  bool done() const { return finish_.has_value(); }
  std::int32_t last_id() const { return sequence_.back(); }
  std::int64_t position() const { return static_cast<std::int64_t>(sequence_.size()) - 1; }
  Completion completion();  // once done

 private:
  std::size_t generated() const { return sequence_.size() - request_.prompt_ids.size(); }
  std::int32_t choose(std::span<const float> scores) const;
  void append(std::int32_t id, double log_probability);
  std::size_t earliest(const std::vector<std::string>& strings, std::size_t text_before) const;
  std::size_t token_that_wrote(std::size_t offset) const;
  void go_back_to(std::size_t generated_tokens);
  void stop_or_go_on(std::size_t text_before);

  const GenerateRequest& request_;
  const Tokenizer& tokenizer_;
  std::size_t max_new_tokens_;
  std::vector<std::int32_t> sequence_;   // prompt and continuation
  std::vector<double> log_probability_;  // of each generated token
  std::vector<std::size_t> text_end_;    // size of text_ after each generated token
  std::string text_;
  std::optional<StreamDecoder> decoder_;
  std::map<std::size_t, std::vector<std::int32_t>> masked_;  // by index in the continuation
  std::optional<FinishReason> finish_;
};

}  // namespace reflect
