#include "preference_data.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "reflect/base/error.h"
#include "reflect/base/file.h"
#include "row_fields.h"

namespace reflect {
namespace {

constexpr const char* kChosen = "chosen";
constexpr const char* kRejected = "rejected";

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

struct Pair {
  Record chosen, rejected;
  Json row;  // as it came
  std::int32_t file = 0;
};

Pair pair_of(const Json& row, const std::string& where) {
  for (const char* name : {kChosen, kRejected})
    if (!row.contains(name)) fail("pairs", "{}: the field '{}' is missing", where, name);
  const Json prompt = prompt_of(row, where);
  const auto side = [&](const char* name) {
    Json with_response = prompt;
    with_response["response"] = response_in(row[name], name, where);
    Record record = record_of(with_response, where);
    for (Message& message : record.messages) message.trained = false;
    record.variant = name;
    return record;
  };
  Pair pair{side(kChosen), side(kRejected), row};
  // Without an id of the row's own each side has one of its content.
  if (!row.contains("id")) pair.rejected.id = pair.chosen.id;
  return pair;
}

// Appends both examples, or counts why not.
void add_pair(Pair pair, const TrainingDataOptions& options, const ChatTemplate& chat,
              const Tokenizer& tokenizer, TrainingData& data) {
  const ExampleOptions shape{options.max_seq_length, SpanWeights::preset("all")};
  if (pair.chosen.response == pair.rejected.response) {
    ++data.dropped["same_response"];
    return;
  }
  ExampleStatus chosen_status, rejected_status;
  Example chosen = example_of(pair.chosen, chat, tokenizer, shape, chosen_status);
  Example rejected = example_of(pair.rejected, chat, tokenizer, shape, rejected_status);
  const auto bad = chosen_status != ExampleStatus::kOk ? chosen_status : rejected_status;
  if (bad != ExampleStatus::kOk) {
    ++data.dropped[drop_reason(bad)];
    return;
  }
  const auto number = [&](std::string_view path) { return number_at(pair.row, path); };
  const auto tokens = static_cast<std::int64_t>(chosen.size() + rejected.size());
  if (const std::string reason = TraitReader(options).add(pair.file, tokens, number, data.traits);
      !reason.empty()) {
    ++data.dropped[reason];
    return;
  }
  data.examples.push_back(std::move(chosen));
  data.examples.push_back(std::move(rejected));
  if (!options.keep_records) return;
  data.records.push_back(std::move(pair.chosen));
  data.records.push_back(std::move(pair.rejected));
}

}  // namespace

TrainingData load_preference_data(const TrainingDataOptions& options, const ChatTemplate& chat,
                                  const Tokenizer& tokenizer) {
  TrainingData data;
  data.preset = "all";
  for (std::size_t file = 0; file < options.files.size(); ++file) {
    LineReader lines(options.files[file]);
    std::vector<BadRow> bad_rows;
    while (const auto line = lines.next()) {
      if (line->find_first_not_of(" \t\r") == line->npos) continue;
      ++data.rows;
      const std::string where = fmt::format("{}:{}", lines.path(), lines.line_number());
      std::optional<Pair> pair;
      try {
        pair = pair_of(parse_json_line(*line, where), where);
      } catch (const Error& error) {
        bad_rows.push_back({lines.line_number(), error.what()});
      }
      if (!pair) continue;
      pair->file = static_cast<std::int32_t>(file);
      add_pair(std::move(*pair), options, chat, tokenizer, data);
    }
    add_malformed(bad_rows, options.files[file], data);
  }
  require_examples(data);
  data.hash = hash_of(data.examples, data.traits);
  return data;
}

}  // namespace reflect
