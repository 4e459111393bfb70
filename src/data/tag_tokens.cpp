#include "reflect/data/tag_tokens.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "data/json_field.h"
#include "data/tokenizer_config.h"
#include "reflect/base/error.h"
#include "reflect/base/file.h"

namespace reflect {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTagOp = "tag tokens";

class TaggedTokenizer : public Tokenizer {
 public:
  TaggedTokenizer(std::unique_ptr<Tokenizer> tokenizer, std::vector<TagToken> tags)
      : tokenizer_(std::move(tokenizer)), tags_(std::move(tags)) {}

  std::vector<Token> encode(std::string_view text, SpecialText special,
                            bool continues) const override {
    return tokenizer_->encode(text, special, continues);
  }
  std::string_view bytes_of(std::int32_t id) const override {
    const TagToken* tag = find(id);
    return tag != nullptr ? tag->tag : tokenizer_->bytes_of(id);
  }
  bool is_special(std::int32_t id) const override {
    return find(id) == nullptr && tokenizer_->is_special(id);
  }
  std::optional<std::int32_t> special_id(std::string_view text) const override {
    return tokenizer_->special_id(text);
  }
  std::int32_t vocab_size() const override { return tokenizer_->vocab_size(); }
  std::optional<std::int32_t> bos_id() const override { return tokenizer_->bos_id(); }
  std::optional<std::int32_t> eos_id() const override { return tokenizer_->eos_id(); }
  bool adds_bos() const override { return tokenizer_->adds_bos(); }
  bool strips_leading_space() const override { return tokenizer_->strips_leading_space(); }
  std::span<const TagToken> tag_tokens() const override { return tags_; }

 private:
  const TagToken* find(std::int32_t id) const {
    const auto tag = std::ranges::find(tags_, id, &TagToken::id);
    return tag == tags_.end() ? nullptr : &*tag;
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  std::vector<TagToken> tags_;
};

std::int32_t id_of(const std::string& name, const Tokenizer& tokenizer) {
  if (const auto id = tokenizer.special_id(name)) return *id;
  fail_usage(kTagOp, "the tokenizer has no special or added token '{}'", name);
}

std::vector<std::string> reserved_tokens(const Tokenizer& tokenizer) {
  constexpr int kMost = 256;
  std::vector<std::string> names;
  for (int i = 0; i < kMost && names.size() < trace_tags().size(); ++i)
    if (std::string name = fmt::format("<|reserved_special_token_{}|>", i);
        tokenizer.special_id(name))
      names.push_back(std::move(name));
  if (names.size() < trace_tags().size())
    fail_usage(
        kTagOp,
        "the tokenizer has {} of {} tokens <|reserved_special_token_N|>; name tokens that it "
        "has and does not use, or leave the tags text",
        names.size(), trace_tags().size());
  return names;
}

}  // namespace

const std::vector<std::string>& trace_tags() {
  static const std::vector<std::string> tags = {"<thinking>",    "</thinking>", "<reflection>",
                                                "</reflection>", "<output>",    "</output>"};
  return tags;
}

std::vector<TagToken> tag_tokens_named(const std::vector<std::string>& names,
                                       const Tokenizer& tokenizer) {
  if (names.empty()) return {};
  const std::vector<std::string>& tags = trace_tags();
  const std::vector<std::string> tokens =
      names == std::vector<std::string>{"reserved"} ? reserved_tokens(tokenizer) : names;
  if (tokens.size() != tags.size())
    fail_usage(kTagOp, "{} tokens for the tags {}; name one each, or reserved", tokens.size(),
               fmt::join(tags, ", "));
  std::vector<TagToken> all;
  for (std::size_t i = 0; i < tags.size(); ++i) {
    const std::int32_t id = id_of(tokens[i], tokenizer);
    if (std::ranges::find(all, id, &TagToken::id) != all.end())
      fail_usage(kTagOp, "'{}' stands for two tags; name another token", tokens[i]);
    all.push_back({tags[i], tokens[i], id});
  }
  return all;
}

std::vector<TagToken> read_tag_tokens(const std::string& folder, const Tokenizer& tokenizer) {
  const std::string path = (fs::path(folder) / kTagTokensFile).string();
  if (folder.empty() || !fs::exists(path)) return {};
  const nlohmann::json json = read_json(path);
  std::vector<std::string> names;
  for (const std::string& tag : trace_tags())
    names.push_back(json_field<std::string>(json, tag.c_str(), path));
  try {
    return tag_tokens_named(names, tokenizer);
  } catch (const Error& error) {
    fail(kTagOp, "{}: {}; is it another base?", path, error.what());
  }
}

void write_tag_tokens(const std::string& folder, const std::vector<TagToken>& tags) {
  nlohmann::ordered_json json;
  for (const TagToken& tag : tags) json[tag.tag] = tag.token;
  write_file_atomic((fs::path(folder) / kTagTokensFile).string(), json.dump(2) + "\n");
}

std::unique_ptr<Tokenizer> with_tag_tokens(std::unique_ptr<Tokenizer> tokenizer,
                                           std::vector<TagToken> tags) {
  if (tags.empty()) return tokenizer;
  return std::make_unique<TaggedTokenizer>(std::move(tokenizer), std::move(tags));
}

std::unique_ptr<Tokenizer> load_tagged_tokenizer(const std::string& model,
                                                 const std::string& adapter) {
  auto tokenizer = load_tokenizer(model);
  std::vector<TagToken> tags = read_tag_tokens(adapter, *tokenizer);
  if (tags.empty()) tags = read_tag_tokens(model, *tokenizer);
  return with_tag_tokens(std::move(tokenizer), std::move(tags));
}

}  // namespace reflect
