#include "row_form.h"

#include <algorithm>

#include "reflect/base/error.h"

namespace reflect {
namespace {

constexpr const char* kChosen = "chosen";
constexpr const char* kRejected = "rejected";

std::vector<Record> response_of(const Json& row, const std::string& where) {
  Record record = record_of(row, where);
  if (record.response.empty()) record.response = instruction_fields(record).output;
  return {std::move(record)};
}

// The response of a side that came as text or as messages.
std::string response_in(const Json& side, const std::string& name, const std::string& where) {
  if (side.is_string()) return side.get<std::string>();
  const bool list = side.is_array() && !side.empty() && side.back().is_object();
  const Json& last = list ? side.back() : side;
  if (!list || last.value("role", "") != "assistant" || !last.contains("content") ||
      !last["content"].is_string())
    fail("pairs", "{}: '{}' must be text, or messages that end with the assistant's", where, name);
  return last["content"].get<std::string>();
}

// The row with its prompt in a form that record_of reads.
Json prompt_of(const Json& row, const std::string& where) {
  Json prompt = row;
  prompt.erase(kChosen);
  prompt.erase(kRejected);
  prompt.erase("spans");
  if (prompt.contains("prompt") && prompt["prompt"].is_array()) {
    prompt["messages"] = prompt["prompt"];
    prompt.erase("prompt");
  }
  const Json& chosen = row[kChosen];
  const Json& rejected = row[kRejected];
  if (!chosen.is_array() || chosen.size() < 2) return prompt;
  if (!rejected.is_array() || rejected.empty() ||
      !std::equal(chosen.begin(), chosen.end() - 1, rejected.begin(), rejected.end() - 1))
    fail("pairs", "{}: 'chosen' and 'rejected' begin with different messages", where);
  prompt["messages"] = Json::array();
  for (auto message = chosen.begin(); message != chosen.end() - 1; ++message)
    prompt["messages"].push_back(*message);
  return prompt;
}

std::vector<Record> pair_of(const Json& row, const std::string& where) {
  for (const char* name : {kChosen, kRejected})
    if (!row.contains(name)) fail("pairs", "{}: the field '{}' is missing", where, name);
  const Json prompt = prompt_of(row, where);
  std::vector<Record> sides;
  for (const char* name : {kChosen, kRejected}) {
    Json with_response = prompt;
    with_response["response"] = response_in(row[name], name, where);
    Record record = record_of(with_response, where);
    for (Message& message : record.messages) message.trained = false;
    record.variant = name;
    sides.push_back(std::move(record));
  }
  // Without an id of the row's own each side has one of its content.
  if (!row.contains("id")) sides[1].id = sides[0].id;
  return sides;
}

}  // namespace

RowForm response_form(const SpanWeights& weights) {
  return {"responses", 1, weights, response_of};
}

RowForm pair_form() {
  return {"pairs", 2, SpanWeights::preset("all"), pair_of};
}

// "auto" is mask_error or, where no row has an error span, "all", which then gives the same
// weights.
RowForm row_form(const TrainingDataOptions& options) {
  if (options.kind == "dpo") return pair_form();
  return response_form(
      SpanWeights::preset(options.preset == "auto" ? "mask_error" : options.preset));
}

}  // namespace reflect
