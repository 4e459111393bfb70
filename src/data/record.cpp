#include "data/record_names.h"

#include <algorithm>
#include <cstdint>

#include "reflect/base/error.h"
#include "reflect/base/hash.h"
#include "reflect/base/white_space.h"

namespace reflect {
namespace {

constexpr std::string_view kAnswerMark = "####";

// Takes the known fields out of a row one by one; what is left are the fields to keep.
class Row {
 public:
  Row(const Json& row, const std::string& where) : left_(row), where_(where) {
    if (!row.is_object()) {
      fail("record", "{}: the row is {}, not an object; write one JSON object a line", where_,
           row.type_name());
    }
  }

  template <class... Args>
  [[noreturn]] void bad(fmt::format_string<Args...> format, Args&&... args) const {
    fail("record", "{}: {}", where_, fmt::format(format, std::forward<Args>(args)...));
  }

  bool has(const char* name) const { return left_.contains(name) && !left_[name].is_null(); }
  const Json& at(const char* name) const { return left_.at(name); }
  Json take(const char* name) {
    Json value = has(name) ? left_[name] : Json();
    left_.erase(name);
    return value;
  }

  // The text of a field that must be a string.
  std::string text(const char* name) const { return text_of(left_.at(name), name); }
  std::string take_text(const char* name) {
    const Json value = take(name);
    return value.is_null() ? std::string() : text_of(value, name);
  }
  Json take_object(const char* name) {
    Json value = take(name);
    if (!value.is_null() && !value.is_object()) {
      bad("field '{}' is {}, not an object", name, value.type_name());
    }
    return value;
  }
  Json rest() && { return std::move(left_); }

  std::string text_of(const Json& value, std::string_view name) const {
    if (!value.is_string()) bad("field '{}' is {}, not text", name, value.type_name());
    return value.get<std::string>();
  }

 private:
  Json left_;
  const std::string& where_;
};

// Text as it is; a number or a truth value in its JSON spelling.
std::string spelled(const Row& row, const char* name) {
  const Json& value = row.at(name);
  if (value.is_string()) return value.get<std::string>();
  if (value.is_primitive()) return value.dump();
  row.bad("field '{}' is {}, not text or a number", name, value.type_name());
}

// Where the last line that starts with "####" begins; npos without one.
std::size_t answer_line(std::string_view text) {
  std::size_t at = text.rfind(kAnswerMark);
  while (at != text.npos && at != 0 && text[at - 1] != '\n') at = text.rfind(kAnswerMark, at - 1);
  return at;
}

std::string content_of(const Json& content, const Row& row, const std::string& name) {
  if (!content.is_array()) return row.text_of(content, name);
  std::string text;
  for (const Json& part : content) {
    if (!part.is_object() || part.value("type", Json()) != "text" || !part.contains("text")) {
      row.bad("'{}' has a part that is not text; only text is supported", name);
    }
    text += row.text_of(part["text"], name);
  }
  return text;
}

struct MessageKeys {
  const char* list;
  const char* role;
  const char* content;
};
constexpr MessageKeys kOpenAi = {"messages", "role", "content"};
constexpr MessageKeys kShareGpt = {"conversations", "from", "value"};

std::string role_named(const std::string& name) {
  if (name == "human") return "user";
  if (name == "gpt") return "assistant";
  return name;
}

Message message_of(const Json& json, const Row& row, const MessageKeys& keys,
                   const std::string& name) {
  if (!json.is_object() || !json.contains(keys.role) || !json.contains(keys.content)) {
    row.bad("'{}' is not an object with '{}' and '{}'", name, keys.role, keys.content);
  }
  Message message;
  message.role = role_named(row.text_of(json[keys.role], name + "." + keys.role));
  if (message.role != "system" && message.role != "user" && message.role != "assistant") {
    row.bad("'{}' has role '{}'; known: system, user, assistant", name, message.role);
  }
  message.content = content_of(json[keys.content], row, name + "." + keys.content);
  if (json.contains("weight")) {
    const Json& weight = json["weight"];
    if (weight != 0 && weight != 1) row.bad("'{}.weight' is {}, not 0 or 1", name, weight.dump());
    message.trained = weight == 1;
  }
  return message;
}

std::vector<Message> take_messages(Row& row, const MessageKeys& keys) {
  const Json list = row.take(keys.list);
  if (!list.is_array()) row.bad("field '{}' is {}, not a list", keys.list, list.type_name());
  std::vector<Message> messages;
  for (std::size_t i = 0; i < list.size(); ++i) {
    messages.push_back(message_of(list[i], row, keys, fmt::format("{}[{}]", keys.list, i)));
  }
  return messages;
}

std::string alpaca_prompt(const std::string& instruction, const std::string& input) {
  return input.empty() ? instruction : instruction + "\n" + input;
}

// The messages of a row, in the order of precedence of the forms. Prompts that came as `question`
// or `instruction` and `input` also stay in the row, under their own names.
std::vector<Message> messages_of(Row& row) {
  if (row.has("messages")) return take_messages(row, kOpenAi);
  std::vector<Message> messages;
  if (row.has("system")) messages.push_back({"system", row.take_text("system")});
  if (row.has("conversations")) {
    std::vector<Message> turns = take_messages(row, kShareGpt);
    messages.insert(messages.end(), turns.begin(), turns.end());
  } else if (row.has("prompt")) {
    messages.push_back({"user", row.take_text("prompt")});
  } else if (row.has("question")) {
    messages.push_back({"user", row.text("question")});
  } else if (row.has("instruction")) {
    const std::string input = row.has("input") ? row.text("input") : "";
    messages.push_back({"user", alpaca_prompt(row.text("instruction"), input)});
  } else {
    row.bad(
        "no prompt; expected one of the fields messages, conversations, prompt, question, "
        "instruction");
  }
  return messages;
}

std::optional<std::string> text_field(const Json& other, const char* name) {
  if (!other.contains(name) || !other[name].is_string()) return std::nullopt;
  return other[name].get<std::string>();
}

std::string take_response(Row& row, std::vector<Message>& messages) {
  if (row.has("response")) return row.take_text("response");
  if (!messages.empty() && messages.back().role == "assistant") {
    if (!messages.back().trained) row.bad("the last assistant turn has weight 0: nothing to train");
    std::string response = std::move(messages.back().content);
    messages.pop_back();
    return response;
  }
  return row.has("instruction") ? row.take_text("output") : "";
}

// The value of a count; nothing for what is not an integer from 0 to `highest`.
std::optional<std::uint64_t> count_of(const Json& value, std::uint64_t highest) {
  if (!value.is_number_integer() || value < 0 || value > highest) return std::nullopt;
  return value.get<std::uint64_t>();
}

std::size_t offset_of(const Json& span, const char* name, const Row& row, std::size_t index) {
  const auto offset = count_of(span.value(name, Json()), SIZE_MAX);
  if (!offset) row.bad("spans[{}].{} is not a byte offset", index, name);
  return *offset;
}

Span span_of(const Json& json, const Row& row, std::size_t index) {
  if (!json.is_object()) row.bad("spans[{}] is {}, not an object", index, json.type_name());
  const std::string type = json.contains("type") ? row.text_of(json["type"], "spans.type") : "";
  const auto known_type = span_type_named(type);
  if (!known_type) row.bad("spans[{}].type is '{}', not a span type", index, type);
  Span span{*known_type, offset_of(json, "begin", row, index), offset_of(json, "end", row, index)};
  if (json.contains("round")) {
    const auto round = count_of(json["round"], 1'000'000);
    if (!round) row.bad("spans[{}].round is {}, not a round", index, json["round"].dump());
    span.round = static_cast<int>(*round);
  }
  if (json.contains("proof")) {
    const std::string name = row.text_of(json["proof"], "spans.proof");
    const auto proof = proof_named(name);
    if (!proof) row.bad("spans[{}].proof is '{}', not a proof", index, name);
    span.proof = *proof;
  }
  return span;
}

std::vector<Span> take_spans(Row& row, std::size_t response_size) {
  const Json list = row.take("spans");
  if (list.is_null()) return {};
  if (!list.is_array()) row.bad("field 'spans' is {}, not a list", list.type_name());
  std::vector<Span> spans;
  std::size_t at = 0;
  for (std::size_t i = 0; i < list.size(); ++i) {
    spans.push_back(span_of(list[i], row, i));
    if (spans[i].begin != at || spans[i].end <= at) {
      row.bad("spans[{}] covers bytes [{}, {}), expected a start at {}", i, spans[i].begin,
              spans[i].end, at);
    }
    at = spans[i].end;
  }
  if (!spans.empty() && at != response_size) {
    row.bad("the spans end at byte {}, the response has {}", at, response_size);
  }
  return spans;
}

}  // namespace

std::string gold_answer(std::string_view text) {
  const std::size_t line = answer_line(text);
  return std::string(line == text.npos ? text : trimmed(text.substr(line + kAnswerMark.size())));
}

std::optional<std::string> prompt_in(const Json& other) {
  if (auto question = text_field(other, "question")) return question;
  if (const auto instruction = text_field(other, "instruction")) {
    return alpaca_prompt(*instruction, text_field(other, "input").value_or(""));
  }
  return std::nullopt;
}

const char* response_key(const Json& other) {
  return other.contains("instruction") && !other.contains("output") ? "output" : "response";
}

const Json* raw_answer(const Record& record) {
  if (!record.other.contains("answer")) return nullptr;
  const Json& raw = record.other["answer"];
  const std::string text = raw.is_string() ? raw.get<std::string>() : raw.dump();
  return record.answer == gold_answer(text) ? &raw : nullptr;
}

const std::string& Record::prompt() const {
  const auto last = std::find_if(messages.rbegin(), messages.rend(),
                                 [](const Message& message) { return message.role == "user"; });
  if (last == messages.rend()) fail("record", "row '{}' has no user message", id);
  return last->content;
}

Record record_of(const Json& json, const std::string& where) {
  Row row(json, where);
  Record record;
  record.messages = messages_of(row);
  record.response = take_response(row, record.messages);
  if (std::none_of(record.messages.begin(), record.messages.end(),
                   [](const Message& message) { return message.role == "user"; })) {
    row.bad("no user message before the response");
  }
  if (row.has("answer")) {
    const std::string raw = spelled(row, "answer");
    record.answer = gold_answer(raw);
    if (row.at("answer") == *record.answer) row.take("answer");
  }
  record.spans = take_spans(row, record.response.size());
  record.scores = row.take_object("scores");
  record.lineage = row.take_object("lineage");
  record.group = row.take_text("group");
  record.variant = row.take_text("variant");
  if (row.has("id")) record.id = spelled(row, "id");
  row.take("id");
  record.other = std::move(row).rest();
  if (record.id.empty()) record.id = content_id(record);
  return record;
}

std::string content_id(const Record& record) {
  std::string text;
  const auto add = [&](const std::string& part) {
    text += fmt::format("{}:", part.size());
    text += part;
  };
  for (const Message& message : record.messages) {
    add(message.role);
    add(message.content);
  }
  add(record.response);
  return content_hash(text);
}

InstructionFields instruction_fields(const Record& record) {
  const Json& other = record.other;
  InstructionFields fields{record.prompt(), "", record.response};
  const auto instruction = text_field(other, "instruction");
  if (instruction && prompt_in(other) == record.prompt()) {
    fields.instruction = *instruction;
    fields.input = text_field(other, "input").value_or("");
  }
  const Json* raw = raw_answer(record);
  if (fields.output.empty() && raw != nullptr && raw->is_string()) fields.output = *raw;
  return fields;
}

std::optional<std::string> worked_solution(const Record& record, Annotations annotations) {
  const Json* raw = raw_answer(record);
  if (raw == nullptr || !raw->is_string()) return std::nullopt;
  const std::string text = raw->get<std::string>();
  const std::size_t line = answer_line(text);
  if (line == text.npos) return std::nullopt;
  std::string solution(trimmed(std::string_view(text).substr(0, line)));
  return annotations == Annotations::kKeep ? solution : without_annotations(std::move(solution));
}

std::string without_annotations(std::string text) {
  for (std::size_t begin = text.find("<<"); begin != text.npos; begin = text.find("<<", begin)) {
    const std::size_t end = text.find(">>", begin);
    if (end == text.npos) break;
    text.erase(begin, end + 2 - begin);
  }
  return text;
}

}  // namespace reflect
