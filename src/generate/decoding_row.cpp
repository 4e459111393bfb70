// The rules for one row: sampling, end tokens, stop strings, banned strings, length.
#include "generate/decoding_row.h"

#include <algorithm>
#include <limits>

#include "generate/sampler.h"

namespace reflect {

DecodingRow::DecodingRow(const GenerateRequest& request, const Tokenizer& tokenizer,
                         std::int64_t window)
    : request_(request),
      tokenizer_(tokenizer),
      max_new_tokens_(std::min<std::size_t>(request.sampling.max_new_tokens,
                                            window - request.prompt_ids.size())),
      sequence_(request.prompt_ids) {
  decoder_.emplace(tokenizer_);
}

void DecodingRow::advance(std::span<const float> logits, double log_normalizer) {
  const std::size_t position = generated();
  const std::size_t text_before = text_.size();
  const std::size_t known = std::min<std::size_t>(logits.size(), tokenizer_.vocab_size());
  std::vector<float> scores(logits.begin(), logits.begin() + known);
  penalize_repetition(scores, sequence_, request_.sampling.repetition_penalty);
  const auto mask = [&](std::int32_t id) { scores[id] = -std::numeric_limits<float>::infinity(); };
  if (const auto masked = masked_.find(position); masked != masked_.end()) {
    for (const std::int32_t id : masked->second) mask(id);
  }

  while (true) {
    const std::int32_t id = choose(scores);
    if (std::find(request_.end_ids.begin(), request_.end_ids.end(), id) != request_.end_ids.end()) {
      finish_ = FinishReason::kEnd;
      return;
    }
    append(id, logits[id] - log_normalizer);
    const std::size_t banned = earliest(request_.banned_text, text_before);
    if (banned == std::string::npos) break;
    const std::size_t first = token_that_wrote(banned);
    const std::int32_t culprit = sequence_[request_.prompt_ids.size() + first];
    go_back_to(first);
    masked_[first].push_back(culprit);
    if (first < position) return;
    mask(id);
  }
  stop_or_go_on(text_before);
}

std::int32_t DecodingRow::choose(std::span<const float> scores) const {
  if (request_.sampling.temperature == 0) return likeliest(scores);
  return draw(distribution_of(scores, request_.sampling),
              Random(request_.seed, "generate.token", {generated()}));
}

void DecodingRow::append(std::int32_t id, double log_probability) {
  sequence_.push_back(id);
  log_probability_.push_back(log_probability);
  text_ += decoder_->push(id);
  text_end_.push_back(text_.size());
}

// Where the first of `strings` begins that ends in the text written since `text_before`, or npos.
std::size_t DecodingRow::earliest(const std::vector<std::string>& strings,
                                  std::size_t text_before) const {
  std::size_t first = std::string::npos;
  for (const std::string& string : strings) {
    const std::size_t from = text_before - std::min(text_before, string.size() - 1);
    first = std::min(first, text_.find(string, from));
  }
  return first;
}

std::size_t DecodingRow::token_that_wrote(std::size_t offset) const {
  return std::upper_bound(text_end_.begin(), text_end_.end(), offset) - text_end_.begin();
}

void DecodingRow::go_back_to(std::size_t generated_tokens) {
  sequence_.resize(request_.prompt_ids.size() + generated_tokens);
  log_probability_.resize(generated_tokens);
  text_end_.clear();
  text_.clear();
  decoder_.emplace(tokenizer_);
  for (std::size_t i = request_.prompt_ids.size(); i < sequence_.size(); ++i) {
    text_ += decoder_->push(sequence_[i]);
    text_end_.push_back(text_.size());
  }
  masked_.erase(masked_.upper_bound(generated_tokens), masked_.end());
}

void DecodingRow::stop_or_go_on(std::size_t text_before) {
  const std::size_t cut = earliest(request_.sampling.stop, text_before);
  if (cut != std::string::npos) {
    text_.resize(cut);
    finish_ = FinishReason::kStop;
  } else if (generated() == max_new_tokens_) {
    finish_ = FinishReason::kLength;
  }
}

Completion DecodingRow::completion() {
  Completion completion;
  completion.finish = *finish_;
  completion.ids.assign(sequence_.begin() + request_.prompt_ids.size(), sequence_.end());
  for (const double log_probability : log_probability_) {
    completion.log_probability += log_probability;
  }
  if (*finish_ != FinishReason::kStop) text_ += decoder_->finish();
  completion.text = std::move(text_);
  return completion;
}

}  // namespace reflect
