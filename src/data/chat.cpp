#include "reflect/data/chat.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "data/chat_families.h"
#include "data/json_field.h"
#include "data/regex.h"
#include "data/tokenizer_config.h"
#include "reflect/base/error.h"
#include "reflect/base/file.h"

namespace reflect {
namespace {

namespace fs = std::filesystem;

// The chat_template of a tokenizer_config.json: a text, or a list of {name, template}.
std::optional<std::string> template_in(const nlohmann::json& config, const std::string& where) {
  if (!config.contains("chat_template") || config["chat_template"].is_null()) return std::nullopt;
  const nlohmann::json& value = config["chat_template"];
  if (!value.is_array()) return json_value<std::string>(value, "chat_template", where);
  for (const nlohmann::json& entry : value) {
    if (json_field<std::string>(entry, "name", where) == "default")
      return json_field<std::string>(entry, "template", where);
  }
  fail("chat", "{}: 'chat_template' is a list without 'default'; name the template", where);
}

std::optional<std::string> template_text(const std::string& folder) {
  const fs::path jinja = fs::path(folder) / "chat_template.jinja";
  if (fs::exists(jinja)) return read_file(jinja.string());
  const fs::path config = fs::path(folder) / "tokenizer_config.json";
  if (!fs::exists(config)) return std::nullopt;
  return template_in(read_json(config.string()), config.string());
}

// Empty: none that is known.
std::string_view family_of(std::string_view text) {
  const auto has = [&](std::string_view mark) { return text.find(mark) != text.npos; };
  if (has("<|start_header_id|>")) return has("Cutting Knowledge Date") ? "llama3.1" : "llama3";
  if (has("<|im_start|>")) return "chatml";
  if (has("[AVAILABLE_TOOLS]") || has("[SYSTEM_PROMPT]")) return "";  // Mistral's from v3 on
  if (has("[INST]") && has("<<SYS>>")) return "llama2";
  if (has("\" [INST] ") || has("' [INST] ")) return "mistral-v1";
  if (has("[INST]") && !has("eos_token + ' '")) return "mistral";
  if (has("<|user|>")) return "zephyr";
  if (has("### Instruction")) return "alpaca";
  if (has("USER:") && has("ASSISTANT:")) return "vicuna";
  return "";
}

// The system text that a ChatML template puts where there is none (Qwen, SmolLM); empty: nothing.
std::string default_system_of(std::string_view text) {
  static const Regex pattern("chat",
                             R"(<\|im_start\|>system(?:\\n|\n)\K[^'"{}<\\]+(?=<\|im_end\|>))");
  const auto match = Regex::Scanner(pattern, text).next();
  return match ? std::string(text.substr(match->begin, match->end - match->begin)) : "";
}

}  // namespace

ChatTemplate::ChatTemplate(const ChatFamily& family) : family_(&family), name_(family.name) {}

ChatTemplate ChatTemplate::named(std::string_view name) {
  for (const ChatFamily& family : chat_families()) {
    if (family.name == name) return ChatTemplate(family);
  }
  fail_usage("chat", "unknown chat template '{}'; known: {}", name, fmt::join(names(), ", "));
}

ChatTemplate ChatTemplate::detect(const std::string& folder) {
  const std::optional<std::string> text = template_text(folder);
  if (!text) return named("plain");
  const std::string_view family = family_of(*text);
  if (family.empty()) {
    fail("chat", "the chat template in {} is none of the known ones; name one of: {}", folder,
         fmt::join(names(), ", "));
  }
  ChatTemplate result = named(family);
  if (family == "chatml") result.default_system_ = default_system_of(*text);
  return result;
}

ChatTemplate ChatTemplate::choose(const std::string& name, const std::string& folder) {
  return name == "auto" ? detect(folder) : named(name);
}

std::vector<std::string> ChatTemplate::names() {
  std::vector<std::string> names;
  for (const ChatFamily& family : chat_families()) names.emplace_back(family.name);
  return names;
}

std::vector<ChatPiece> ChatTemplate::render(const std::vector<Message>& messages,
                                            const ChatOptions& options) const {
  if (messages.empty()) fail("chat", "there are no messages to render; give at least one");
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const std::string& role = messages[i].role;
    if (role != "system" && role != "user" && role != "assistant") {
      fail("chat", "message {} is of role '{}'; known are system, user and assistant", i, role);
    }
  }
  if (default_system_.empty() || messages[0].role == "system")
    return render_as(*family_, messages, options);

  std::vector<Message> with_system = {{"system", default_system_}};
  with_system.insert(with_system.end(), messages.begin(), messages.end());
  std::vector<ChatPiece> pieces = render_as(*family_, with_system, options);
  for (ChatPiece& piece : pieces) {
    if (piece.message == 0 && piece.kind == ChatPiece::Kind::kContent)
      piece.kind = ChatPiece::Kind::kMarkup;
    piece.message = std::max(piece.message - 1, -1);
  }
  return pieces;
}

std::vector<std::string> ChatTemplate::end_of_turn() const {
  return family_->end_of_turn;
}

std::vector<std::int32_t> ChatTemplate::end_ids(const Tokenizer& tokenizer) const {
  std::vector<std::int32_t> ids;
  if (const auto eos = tokenizer.eos_id()) ids.push_back(*eos);
  for (const std::string& text : family_->end_of_turn) {
    const auto id = tokenizer.special_id(text);
    if (id && std::find(ids.begin(), ids.end(), *id) == ids.end()) ids.push_back(*id);
  }
  return ids;
}

std::string joined_text(const std::vector<ChatPiece>& pieces) {
  std::string text;
  for (const ChatPiece& piece : pieces) text += piece.text;
  return text;
}

}  // namespace reflect
