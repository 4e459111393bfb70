#include "reflect/train/training_data.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <unordered_set>

#include "reflect/base/error.h"
#include "reflect/base/hash.h"
#include "reflect/data/bad_rows.h"
#include "row_fields.h"

namespace reflect {
namespace {

bool has_span(const Record& record, SpanType type) {
  return std::ranges::any_of(record.spans, [type](const Span& span) { return span.type == type; });
}

bool is_reflective(const Record& record) {
  return record.spans.empty() ? parse_trace(record.response).reflections() > 0
                              : has_span(record, SpanType::kReflection);
}

std::string system_prompt_of(const Record& record) {
  for (const Message& message : record.messages)
    if (message.role == "system") return message.content;
  return "";
}

// A GSM8K row has no response; what trains is its worked solution as it came.
// `file_of`: which file each record came from.
std::vector<Record> read_all(const std::vector<std::string>& files, TrainingData& data,
                             std::vector<std::int32_t>& file_of) {
  std::vector<Record> records;
  for (std::size_t file = 0; file < files.size(); ++file) {
    std::vector<BadRow> bad_rows;
    for (Record& record : read_records(files[file], &bad_rows)) {
      if (record.response.empty()) record.response = instruction_fields(record).output;
      records.push_back(std::move(record));
    }
    file_of.resize(records.size(), static_cast<std::int32_t>(file));
    add_malformed(bad_rows, files[file], data);
    data.rows += static_cast<std::int64_t>(bad_rows.size());
  }
  data.rows += static_cast<std::int64_t>(records.size());
  return records;
}

void survey(const std::vector<Record>& records, TrainingData& data) {
  for (const Record& record : records) {
    if (is_reflective(record)) {
      ++data.reflective_rows;
      data.reflective_without_error += !has_span(record, SpanType::kError);
    }
    const std::string system = system_prompt_of(record);
    ++data.system_prompts[system.empty() ? "none" : content_hash(system)];
    const Json& lineage = record.lineage;
    if (lineage.is_object() && lineage.contains("system_prompt_hash"))
      data.other_system_prompt += lineage["system_prompt_hash"] != content_hash(system);
  }
}

std::string resolve_preset(const TrainingDataOptions& options, const std::vector<Record>& records) {
  if (options.preset != "auto") return options.preset;
  const bool errors = std::ranges::any_of(
      records, [](const Record& record) { return has_span(record, SpanType::kError); });
  return options.lora || errors ? "mask_error" : "all";
}

void require_errors_to_mask(const TrainingData& data) {
  if (data.preset != "mask_error" || data.reflective_rows == 0) return;
  const double share = static_cast<double>(data.reflective_without_error) /
                       static_cast<double>(data.reflective_rows);
  if (share > 0.05)
    fail("train",
         "loss.preset mask_error: {} of {} reflective rows ({:.1f} %) have no error span, so their "
         "mistakes would be trained; place the errors (reflect-gen) or choose another preset",
         data.reflective_without_error, data.reflective_rows, 100 * share);
}

// Of all records, on all cores.
std::vector<Example> tokenized(const std::vector<Record>& records, const ExampleOptions& options,
                               const ChatTemplate& chat, const Tokenizer& tokenizer,
                               std::vector<ExampleStatus>& statuses) {
  std::vector<Example> examples(records.size());
  statuses.assign(records.size(), ExampleStatus::kOk);
  at::parallel_for(0, static_cast<std::int64_t>(records.size()), 64,
                   [&](std::int64_t begin, std::int64_t end) {
                     for (std::int64_t i = begin; i < end; ++i)
                       examples[i] = example_of(records[i], chat, tokenizer, options, statuses[i]);
                   });
  return examples;
}

template <class Value>
std::string hash_of_values(const std::vector<Value>& values) {
  return content_hash(
      {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(Value)});
}

}  // namespace

std::vector<std::int64_t> TrainingData::lengths() const {
  std::vector<std::int64_t> result;
  for (const Example& example : examples)
    result.push_back(static_cast<std::int64_t>(example.size()));
  return result;
}

std::string hash_of(const std::vector<Example>& examples, const RowTraits& traits) {
  std::string digests;
  for (const Example& example : examples)
    digests += hash_of_values(example.input_ids) + hash_of_values(example.weight);
  if (!traits.file.empty() || !traits.weight.empty() || !traits.difficulty.empty())
    digests += hash_of_values(traits.file) + hash_of_values(traits.weight) +
               hash_of_values(traits.difficulty);
  return content_hash(digests);
}

std::int64_t count_shared(const std::vector<Example>& examples,
                          const std::vector<Example>& others) {
  std::unordered_set<std::string> seen;
  for (const Example& example : others) seen.insert(hash_of_values(example.input_ids));
  return std::ranges::count_if(examples, [&](const Example& example) {
    return seen.contains(hash_of_values(example.input_ids));
  });
}

void require_examples(const TrainingData& data) {
  if (!data.examples.empty()) return;
  std::string reasons;
  for (const auto& [reason, count] : data.dropped) reasons += fmt::format(" {} {}", count, reason);
  fail("train", "none of {} rows can be trained on:{}{}", data.rows, reasons,
       data.malformed.empty() ? "" : "; " + data.malformed.front());
}

std::string drop_reason(ExampleStatus status) {
  return status == ExampleStatus::kTooLong ? "too_long" : "nothing_trained";
}

void add_malformed(const std::vector<BadRow>& rows, const std::string& file, TrainingData& data) {
  if (rows.empty()) return;
  data.dropped["malformed"] += static_cast<std::int64_t>(rows.size());
  data.malformed.push_back(summary_of(rows, file));
}

TrainingData load_training_data(const TrainingDataOptions& options, const ChatTemplate& chat,
                                const Tokenizer& tokenizer) {
  TrainingData data;
  std::vector<std::int32_t> file_of;
  std::vector<Record> records = read_all(options.files, data, file_of);
  survey(records, data);
  data.preset = resolve_preset(options, records);
  if (!options.heldout) require_errors_to_mask(data);
  std::vector<ExampleStatus> statuses;
  std::vector<Example> examples =
      tokenized(records, {options.max_seq_length, SpanWeights::preset(data.preset)}, chat,
                tokenizer, statuses);
  const TraitReader traits(options);
  for (std::size_t i = 0; i < examples.size(); ++i) {
    const auto number = [&](std::string_view path) { return number_of(records[i], path); };
    const std::string reason =
        statuses[i] != ExampleStatus::kOk
            ? drop_reason(statuses[i])
            : traits.add(file_of[i], static_cast<std::int64_t>(examples[i].size()), number,
                         data.traits);
    if (!reason.empty()) {
      ++data.dropped[reason];
      continue;
    }
    data.examples.push_back(std::move(examples[i]));
    if (options.keep_records) data.records.push_back(std::move(records[i]));
  }
  require_examples(data);
  data.hash = hash_of(data.examples, data.traits);
  return data;
}

void check_examples(const std::vector<Example>& examples, const ChatTemplate& chat,
                    const Tokenizer& tokenizer) {
  std::vector<std::int32_t> ends;
  for (const std::string& text : chat.end_of_turn())
    if (const auto id = tokenizer.special_id(text)) ends.push_back(*id);
  if (!chat.end_of_turn().empty() && ends.empty())
    fail("train",
         "template {} ends a turn with {}, which the tokenizer does not have; choose "
         "another --template",
         chat.name(), chat.end_of_turn().front());
  const auto bos = tokenizer.bos_id();
  for (const Example& example : examples) {
    const auto& ids = example.input_ids;
    if (bos && ids.size() > 1 && ids[0] == *bos && ids[1] == *bos)
      fail("train",
           "row {} starts with BOS (id {}) twice; take it out of the rows' text or of the "
           "template",
           example.row_id, *bos);
    bool ends_trained = ends.empty();
    for (std::size_t i = 0; i < ids.size() && !ends_trained; ++i)
      ends_trained = example.weight[i] > 0 && std::ranges::find(ends, ids[i]) != ends.end();
    if (!ends_trained)
      fail("train",
           "row {} trains no end-of-turn token ({}); a model trained on it would never "
           "stop",
           example.row_id, chat.end_of_turn().front());
  }
}

}  // namespace reflect
