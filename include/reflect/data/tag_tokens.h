// The tags of a trace as single tokens: reserved ids of a tokenizer that stand for a tag where the
// assistant writes it. A user's or a system's text never makes them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "reflect/data/tokenizer.h"

namespace reflect {

struct TagToken {
  std::string tag;    // "<thinking>"
  std::string token;  // the tokenizer's name of the id: "<|reserved_special_token_0|>"
  std::int32_t id = 0;
};

// In the folder of an adapter or of a checkpoint: {tag: token}.
inline constexpr const char* kTagTokensFile = "tag_tokens.json";

// The tags in their order: opening and closing thinking, reflection, output.
const std::vector<std::string>& trace_tags();

// What stands for the tags: "reserved" is the first six of <|reserved_special_token_N|>, else six
// names of special or added tokens in the order of trace_tags; none: no tag tokens. Throws Error
// (usage) for tokens that the tokenizer does not have.
std::vector<TagToken> tag_tokens_named(const std::vector<std::string>& names,
                                       const Tokenizer& tokenizer);

// Those of the file in `folder`; none without a file.
std::vector<TagToken> read_tag_tokens(const std::string& folder, const Tokenizer& tokenizer);
void write_tag_tokens(const std::string& folder, const std::vector<TagToken>& tags);

// The tokenizer with tag tokens: encode_chat makes them in the assistant's text, they decode to
// their tags and are no special tokens. No tags: the tokenizer itself.
std::unique_ptr<Tokenizer> with_tag_tokens(std::unique_ptr<Tokenizer> tokenizer,
                                           std::vector<TagToken> tags);

// load_tokenizer of a checkpoint with the tag tokens that the adapter was trained with, else with
// the checkpoint's own; an empty `adapter`: none.
std::unique_ptr<Tokenizer> load_tagged_tokenizer(const std::string& model,
                                                 const std::string& adapter = "");

}  // namespace reflect
