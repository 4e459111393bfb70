#include "reflect/train/training_data.h"

#include <algorithm>
#include <unordered_set>

#include "reflect/base/error.h"
#include "reflect/data/corpus_cache.h"
#include "tokenize_rows.h"

namespace reflect {
namespace {

std::string resolve_preset(const TrainingDataOptions& options, const RowAccount& account) {
  if (options.kind == "dpo") return "all";
  if (options.preset != "auto") return options.preset;
  return options.lora || account.rows_with_error > 0 ? "mask_error" : "all";
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

void require_examples(const TrainingData& data) {
  if (!data.examples.empty()) return;
  std::string reasons;
  for (const auto& [reason, count] : data.dropped) reasons += fmt::format(" {} {}", count, reason);
  fail("train", "none of {} rows can be trained on:{}{}", data.rows, reasons,
       data.malformed.empty() ? "" : "; " + data.malformed.front());
}

void add_counts(std::map<std::string, std::int64_t>& sums,
                const std::map<std::string, std::int64_t>& counts) {
  for (const auto& [name, count] : counts) sums[name] += count;
}

Json json_of(const RowAccount& account) {
  return {{"rows", account.rows},
          {"dropped", account.dropped},
          {"malformed", account.malformed},
          {"with error", account.rows_with_error},
          {"reflective", account.reflective_rows},
          {"without error", account.reflective_without_error},
          {"system prompts", account.system_prompts},
          {"other system prompt", account.other_system_prompt}};
}

// What json_of wrote; each text about malformed rows with the name of their file.
RowAccount account_of(const Json& json, const std::string& file) {
  RowAccount account;
  json.at("rows").get_to(account.rows);
  json.at("dropped").get_to(account.dropped);
  for (const Json& text : json.at("malformed"))
    account.malformed.push_back(file + ": " + text.get<std::string>());
  json.at("with error").get_to(account.rows_with_error);
  json.at("reflective").get_to(account.reflective_rows);
  json.at("without error").get_to(account.reflective_without_error);
  json.at("system prompts").get_to(account.system_prompts);
  json.at("other system prompt").get_to(account.other_system_prompt);
  return account;
}

// Of the rows of the next file, each of `examples` examples.
void add_row_traits(std::span<const RowEntry> entries, std::size_t examples, std::int32_t file,
                    const TrainingDataOptions& options, RowTraits& traits) {
  for (std::size_t i = 0; i < entries.size(); i += examples) {
    if (options.by_file) traits.file.push_back(file);
    if (!options.weight_by.empty()) traits.weight.push_back(entries[i].order_weight);
    if (!options.curriculum_by.empty()) traits.difficulty.push_back(entries[i].difficulty);
  }
}

template <class Value>
std::string hash_of_values(const std::vector<Value>& values) {
  return digest_of({reinterpret_cast<const char*>(values.data()), values.size() * sizeof(Value)})
      .hex();
}

struct FirstHalf {
  std::size_t operator()(const Digest& digest) const { return digest.high; }
};

}  // namespace

void RowAccount::add(const RowAccount& other) {
  rows += other.rows;
  add_counts(dropped, other.dropped);
  malformed.insert(malformed.end(), other.malformed.begin(), other.malformed.end());
  rows_with_error += other.rows_with_error;
  reflective_rows += other.reflective_rows;
  reflective_without_error += other.reflective_without_error;
  add_counts(system_prompts, other.system_prompts);
  other_system_prompt += other.other_system_prompt;
}

std::vector<std::int64_t> TrainingData::lengths() const {
  std::vector<std::int64_t> result;
  for (std::size_t row = 0; row < examples.size(); ++row)
    result.push_back(examples.entry(row).tokens);
  return result;
}

std::string hash_of(const TokenizedCorpus& examples, const RowTraits& traits) {
  Hasher hasher;
  for (std::size_t row = 0; row < examples.size(); ++row) {
    hasher.add(examples.entry(row).ids.hex());
    hasher.add(examples.entry(row).weights.hex());
  }
  if (!traits.file.empty() || !traits.weight.empty() || !traits.difficulty.empty())
    hasher.add(hash_of_values(traits.file) + hash_of_values(traits.weight) +
               hash_of_values(traits.difficulty));
  return hasher.digest().hex();
}

std::int64_t count_shared(const TokenizedCorpus& examples, const TokenizedCorpus& others) {
  std::unordered_set<Digest, FirstHalf> own, shared;
  for (std::size_t row = 0; row < examples.size(); ++row) own.insert(examples.entry(row).ids);
  for (std::size_t row = 0; row < others.size(); ++row)
    if (own.contains(others.entry(row).ids)) shared.insert(others.entry(row).ids);
  std::int64_t count = 0;
  for (std::size_t row = 0; row < examples.size(); ++row)
    count += shared.contains(examples.entry(row).ids);
  return count;
}

TrainingData load_training_data(const TrainingDataOptions& options, const ChatTemplate& chat,
                                const Tokenizer& tokenizer) {
  TrainingData data;
  const RowForm form = row_form(options);
  const RowTokenizer rows{options, form, chat, tokenizer};
  const CorpusCache cache(options.cache, options.cache.empty() ? Json() : settings_of(rows));
  for (std::size_t i = 0; i < options.files.size(); ++i) {
    const std::string& name = options.files[i];
    const auto file = cache.rows_of(name, [&](TokenizedFileWriter& writer) {
      return json_of(tokenize_rows(name, rows, writer));
    });
    data.add(account_of(file->account(), name));
    add_row_traits(file->entries(), form.examples, static_cast<std::int32_t>(i), options,
                   data.traits);
    data.examples.append(file);
  }
  data.preset = resolve_preset(options, data);
  if (!options.heldout) require_errors_to_mask(data);
  require_examples(data);
  data.hash = hash_of(data.examples, data.traits);
  return data;
}

ExampleCheck::ExampleCheck(const ChatTemplate& chat, const Tokenizer& tokenizer)
    : bos_(tokenizer.bos_id()) {
  for (const std::string& text : chat.end_of_turn())
    if (const auto id = tokenizer.special_id(text)) ends_.push_back(*id);
  if (chat.end_of_turn().empty()) return;
  name_of_end_ = chat.end_of_turn().front();
  if (ends_.empty())
    fail("train",
         "template {} ends a turn with {}, which the tokenizer does not have; choose "
         "another --template",
         chat.name(), name_of_end_);
}

void ExampleCheck::operator()(const Example& example) const {
  const auto& ids = example.input_ids;
  if (bos_ && ids.size() > 1 && ids[0] == *bos_ && ids[1] == *bos_)
    fail("train",
         "row {} starts with BOS (id {}) twice; take it out of the rows' text or of the "
         "template",
         example.row_id, *bos_);
  bool ends_trained = ends_.empty();
  for (std::size_t i = 0; i < ids.size() && !ends_trained; ++i)
    ends_trained = example.weight[i] > 0 && std::ranges::find(ends_, ids[i]) != ends_.end();
  if (!ends_trained)
    fail("train",
         "row {} trains no end-of-turn token ({}); a model trained on it would never "
         "stop",
         example.row_id, name_of_end_);
}

}  // namespace reflect
