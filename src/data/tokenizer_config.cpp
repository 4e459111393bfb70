#include "data/tokenizer_config.h"

#include <charconv>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "data/json_field.h"
#include "reflect/base/error.h"
#include "reflect/base/file.h"

namespace reflect {
namespace {

namespace fs = std::filesystem;

nlohmann::json read_json_if_there(const std::string& path) {
  return fs::exists(path) ? read_json(path) : nlohmann::json::object();
}

// "</s>" or {"content": "</s>", ...}.
void set_token(std::optional<std::string>& token, const nlohmann::json& json, const char* key,
               const std::string& where) {
  if (token || !json.contains(key) || json[key].is_null()) return;
  const nlohmann::json& value = json[key];
  token = value.is_object() ? json_field<std::string>(value, "content", where)
                            : json_value<std::string>(value, key, where);
}

void set_flag(std::optional<bool>& flag, const nlohmann::json& json, const char* key,
              const std::string& where) {
  if (json.contains(key) && !json[key].is_null()) flag = json_value<bool>(json[key], key, where);
}

// 2 or [2, 7]: the first.
void set_id(std::optional<std::int32_t>& id, const nlohmann::json& json, const char* key,
            const std::string& where) {
  if (!json.contains(key) || json[key].is_null()) return;
  const nlohmann::json& value = json[key];
  if (value.is_array() && value.empty()) return;
  id = checked_token_id(value.is_array() ? value[0] : value, key, where);
}

void set_added_tokens(TokenizerConfig& config, const nlohmann::json& json,
                      const std::string& where) {
  if (!json.contains("added_tokens_decoder")) return;
  for (const auto& [key, entry] : json["added_tokens_decoder"].items()) {
    std::int64_t id = -1;
    std::from_chars(key.data(), key.data() + key.size(), id);
    config.added_tokens.push_back(
        added_token_of(entry, checked_token_id(nlohmann::json(id), key, where), where));
  }
}

}  // namespace

nlohmann::json read_json(const std::string& path) {
  try {
    nlohmann::json json = nlohmann::json::parse(read_file(path));
    if (json.is_object()) return json;
  } catch (const nlohmann::json::parse_error& error) {
    fail("tokenizer", "{} is not valid JSON at byte {}; fetch the file again", path, error.byte);
  }
  fail("tokenizer", "{} is not a JSON object; fetch the file again", path);
}

std::int32_t checked_token_id(const nlohmann::json& json, const std::string& token,
                              const std::string& where) {
  if (!json.is_number_integer() || json < 0 || json > kHighestTokenId) {
    fail("tokenizer", "{}: the id of '{}' is {}, not an integer in [0, {}]; fetch the file again",
         where, token, json.dump(), kHighestTokenId);
  }
  return json.get<std::int32_t>();
}

AddedToken added_token_of(const nlohmann::json& json, std::int32_t id, const std::string& where) {
  AddedToken token;
  token.id = id;
  token.text = json_field<std::string>(json, "content", where);
  token.special = json_field_or(json, "special", false, where);
  token.normalized = json_field_or(json, "normalized", !token.special, where);
  token.single_word = json_field_or(json, "single_word", false, where);
  token.lstrip = json_field_or(json, "lstrip", false, where);
  token.rstrip = json_field_or(json, "rstrip", false, where);
  return token;
}

TokenizerConfig read_tokenizer_config(const std::string& folder) {
  TokenizerConfig config;
  const auto path_of = [&](const char* name) { return (fs::path(folder) / name).string(); };
  bool says_bos = false;
  bool says_eos = false;
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json"}) {
    const std::string path = path_of(name);
    const nlohmann::json json = read_json_if_there(path);
    says_bos = says_bos || json.contains("bos_token");
    says_eos = says_eos || json.contains("eos_token");
    set_token(config.bos_token, json, "bos_token", path);
    set_token(config.eos_token, json, "eos_token", path);
    set_flag(config.adds_bos, json, "add_bos_token", path);
    set_flag(config.legacy, json, "legacy", path);
    set_flag(config.add_prefix_space, json, "add_prefix_space", path);
    set_added_tokens(config, json, path);
  }
  const std::string path = path_of("config.json");
  const nlohmann::json json = read_json_if_there(path);
  if (!says_bos) set_id(config.bos_id, json, "bos_token_id", path);
  if (!says_eos) set_id(config.eos_id, json, "eos_token_id", path);
  return config;
}

}  // namespace reflect
