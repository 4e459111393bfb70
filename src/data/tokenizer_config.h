// What a checkpoint folder says about its tokenizer beside the vocabulary file.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "data/added_tokens.h"

namespace reflect {

// From tokenizer_config.json or special_tokens_map.json, the first that says it.
struct TokenizerConfig {
  std::optional<std::string> bos_token;
  std::optional<std::string> eos_token;
  std::optional<std::int32_t> bos_id;  // from config.json, where the others do not speak of BOS
  std::optional<std::int32_t> eos_id;
  std::optional<bool> adds_bos;
  std::optional<bool> legacy;            // SentencePiece: a space before every part
  std::optional<bool> add_prefix_space;  // SentencePiece: a space before the text
  std::vector<AddedToken> added_tokens;  // with their ids
};

// Files that are missing say nothing. Throws Error that names a malformed one.
TokenizerConfig read_tokenizer_config(const std::string& folder);

// The object in a JSON file. Throws Error that names the file and the byte.
nlohmann::json read_json(const std::string& path);

// One entry of "added_tokens"; `where` names the file.
AddedToken added_token_of(const nlohmann::json& json, std::int32_t id, const std::string& where);

// Ids above this are taken for damage: no vocabulary is near as large.
inline constexpr std::int64_t kHighestTokenId = (1 << 24) - 1;

// A token id from a file: an integer within [0, kHighestTokenId].
std::int32_t checked_token_id(const nlohmann::json& json, const std::string& token,
                              const std::string& where);

}  // namespace reflect
