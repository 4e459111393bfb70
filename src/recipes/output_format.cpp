#include "recipes/output_format.h"

#include <algorithm>

#include "recipes/flawed_way.h"
#include "reflect/base/error.h"
#include "reflect/data/record_text.h"
#include "reflect/recipes/synthesize.h"

namespace reflect {
namespace {

bool has_earlier_turns(const TraceRow& row) {
  if (row.assembled && row.assembled->prompt) return false;
  return std::ranges::any_of(row.task->problem.messages,
                             [](const Message& each) { return each.role == "assistant"; });
}

struct MessageKeys {
  const char* role;
  const char* content;
  const char* user;
  const char* assistant;
};
constexpr MessageKeys kOpenAi = {"role", "content", "user", "assistant"};
constexpr MessageKeys kShareGpt = {"from", "value", "human", "gpt"};

Json message_json(const Message& message, const MessageKeys& keys) {
  std::string role = message.role;
  if (role == "user") role = keys.user;
  if (role == "assistant") role = keys.assistant;
  Json json = {{keys.role, role}, {keys.content, message.content}};
  if (!message.trained) json["weight"] = 0;
  return json;
}

Json::array_t messages_json(const Record& record, const MessageKeys& keys) {
  Json::array_t list;
  for (const Message& message : record.messages) list.push_back(message_json(message, keys));
  return list;
}

Json conversation(const Record& record, const MessageKeys& keys) {
  Json::array_t list = messages_json(record, keys);
  list.push_back(message_json({"assistant", record.response}, keys));
  return list;
}

// `fields` behind the system message, which rows without one do not have.
Json with_system(const Record& record, const Json& fields) {
  Json json = Json::object();
  if (record.messages.front().role == "system") json["system"] = record.messages.front().content;
  json.update(fields);
  return json;
}

Json reply_json(const std::string& text) {
  return Json::array({message_json({"assistant", text}, kOpenAi)});
}

Json tree_of(OutputFormat format, const TraceRow& row, const Record& record) {
  switch (format) {
    case OutputFormat::kRecords:
      return json_of(record);
    case OutputFormat::kOpenAiMessages:
      return {{"messages", conversation(record, kOpenAi)}};
    case OutputFormat::kShareGpt:
      return {{"conversations", conversation(record, kShareGpt)}};
    case OutputFormat::kAlpaca: {
      const InstructionFields fields = instruction_fields(record);
      return with_system(record, {{"instruction", fields.instruction},
                                  {"input", fields.input},
                                  {"output", fields.output}});
    }
    case OutputFormat::kPromptResponse:
      return with_system(record, {{"prompt", record.prompt()}, {"response", record.response}});
    case OutputFormat::kDpo:
      return {{"prompt", messages_json(record, kOpenAi)},
              {"chosen", reply_json(record.response)},
              {"rejected", reply_json(row.flawed)}};
  }
  fail("reflect-gen", "unknown output format");
}

}  // namespace

std::vector<std::string> output_format_names() {
  return {"records", "openai-messages", "alpaca", "sharegpt", "prompt-response", "dpo"};
}

OutputFormat output_format_named(const std::string& name) {
  const std::vector<std::string> names = output_format_names();
  const auto found = std::ranges::find(names, name);
  if (found == names.end()) {
    fail_usage("reflect-gen", "--format {} is none of {}", name, fmt::join(names, ", "));
  }
  return static_cast<OutputFormat>(found - names.begin());
}

void fit_to(OutputFormat format, TraceRow& row) {
  const bool one_turn = format == OutputFormat::kAlpaca || format == OutputFormat::kPromptResponse;
  if (one_turn && has_earlier_turns(row)) return row.end(Fate::kNotUsed, "several_turns");
  if (format != OutputFormat::kDpo) return;
  if (row.errors.empty()) return row.end(Fate::kNotUsed, "no_mistake");
  std::optional<std::string> flawed = flawed_way(row);
  if (!flawed) return row.end(Fate::kNotUsed, "no_flawed_way");
  row.flawed = std::move(*flawed);
}

std::string line_of(OutputFormat format, const TraceRow& row, const Record& record) {
  return format == OutputFormat::kRecords ? json_text_of(record)
                                          : tree_of(format, row, record).dump();
}

}  // namespace reflect
