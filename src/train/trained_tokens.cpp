#include "trained_tokens.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "reflect/base/error.h"

namespace reflect {
namespace {

std::int64_t token_id_of(const std::string& name, const Tokenizer& tokenizer) {
  std::int64_t id = 0;
  const char* end = name.data() + name.size();
  if (const auto [stop, error] = std::from_chars(name.data(), end, id);
      error == std::errc() && stop == end)
    return id;
  if (const auto special = tokenizer.special_id(name)) return *special;
  const std::vector<Token> tokens = tokenizer.encode(name, SpecialText::kPlain, true);
  if (tokens.size() != 1)
    fail_usage(
        "train",
        "--lora.trainable_tokens: '{}' is {} tokens of this tokenizer; name single tokens, by "
        "text or id",
        name, tokens.size());
  return tokens.front().id;
}

void add_row(const std::string& token, LoraConfig& lora) {
  if (std::ranges::find(lora.trainable_tokens, token) == lora.trainable_tokens.end())
    lora.trainable_tokens.push_back(token);
}

}  // namespace

std::unique_ptr<Tokenizer> tokenizer_of(TrainConfig& config) {
  const bool fresh = config.adapter.empty();
  std::unique_ptr<Tokenizer> tokenizer;
  if (config.tag_tokens.empty()) {
    tokenizer = load_tagged_tokenizer(config.model, config.adapter);
  } else {
    if (!fresh)
      fail_usage("train", "--tag_tokens cannot be set beside --adapter, which brings its own");
    tokenizer = load_tokenizer(config.model);
    std::vector<TagToken> tags = tag_tokens_named(config.tag_tokens, *tokenizer);
    for (const TagToken& tag : tags) add_row(tag.token, config.lora);
    tokenizer = with_tag_tokens(std::move(tokenizer), std::move(tags));
  }
  config.lora.token_ids = token_ids_of(config.lora.trainable_tokens, *tokenizer);
  return tokenizer;
}

void count_tag_rows(const TrainConfig& config, LoraConfig& lora) {
  if (!lora.token_ids.empty() || config.tag_tokens.empty()) return;
  if (config.tag_tokens.size() == trace_tags().size()) {
    for (const std::string& token : config.tag_tokens) add_row(token, lora);
  } else {
    lora.trainable_tokens.insert(lora.trainable_tokens.end(), trace_tags().begin(),
                                 trace_tags().end());
  }
}

std::vector<std::int64_t> token_ids_of(const std::vector<std::string>& names,
                                       const Tokenizer& tokenizer) {
  std::vector<std::int64_t> ids;
  for (const std::string& name : names) ids.push_back(token_id_of(name, tokenizer));
  return ids;
}

}  // namespace reflect
