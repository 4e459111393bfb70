#include "tokenize_rows.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <filesystem>

#include "reflect/base/error.h"
#include "reflect/base/hash.h"
#include "reflect/data/bad_rows.h"
#include "reflect/data/tag_tokens.h"
#include "row_fields.h"

namespace reflect {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kTextAtOnce = 4 << 20;  // bytes

struct Line {
  std::size_t number;
  std::string text;
};

// The next lines that are not blank, up to a piece of text; false: there are none.
bool read_piece(LineReader& lines, std::vector<Line>& piece) {
  piece.clear();
  std::size_t bytes = 0;
  while (bytes < kTextAtOnce) {
    const auto line = lines.next();
    if (!line) break;
    bytes += line->size();
    if (line->find_first_not_of(" \t\r") == line->npos) continue;
    piece.push_back({lines.line_number(), std::string(*line)});
  }
  return !piece.empty();
}

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

RowAccount survey_of(const Record& record) {
  RowAccount survey;
  const bool has_error = has_span(record, SpanType::kError);
  survey.rows_with_error = has_error;
  survey.reflective_rows = is_reflective(record);
  survey.reflective_without_error = survey.reflective_rows > 0 && !has_error;
  const std::string system = system_prompt_of(record);
  survey.system_prompts[system.empty() ? "none" : content_hash(system)] = 1;
  const Json& lineage = record.lineage;
  if (lineage.is_object() && lineage.contains("system_prompt_hash"))
    survey.other_system_prompt = lineage["system_prompt_hash"] != content_hash(system);
  return survey;
}

// What one line came to.
struct TokenizedRow {
  RowEntry entry;
  std::vector<Example> examples;  // none where it is left out
  std::string malformed;          // why
  RowAccount account;
};

// Fills in the examples; returns why there are none.
std::string add_examples(const std::vector<Record>& records, const RowTokenizer& rows,
                         TokenizedRow& result) {
  if (records.size() == 2 && records[0].response == records[1].response) return "same_response";
  const ExampleOptions options{rows.options.max_seq_length, rows.form.weights};
  for (const Record& record : records) {
    ExampleStatus status;
    result.examples.push_back(example_of(record, rows.chat, rows.tokenizer, options, status));
    if (status == ExampleStatus::kTooLong) return "too_long";
    if (status == ExampleStatus::kNothingTrained) return "nothing_trained";
  }
  return "";
}

// Fills in the numbers that the order of rows depends on; returns which is missing.
std::string add_traits(const Json& row, const TrainingDataOptions& options, TokenizedRow& result) {
  if (!options.weight_by.empty()) {
    const auto weight = number_at(row, options.weight_by);
    if (!weight) return "no_weight";
    if (*weight < 0) return "negative_weight";
    result.entry.order_weight = *weight;
  }
  if (options.curriculum_by.empty()) return "";
  std::size_t tokens = 0;
  for (const Example& example : result.examples) tokens += example.size();
  const auto difficulty = options.curriculum_by == "tokens"
                              ? std::optional(static_cast<double>(tokens))
                              : number_at(row, options.curriculum_by);
  if (!difficulty) return "no_place_in_curriculum";
  result.entry.difficulty = *difficulty;
  return "";
}

TokenizedRow tokenized(const Line& line, const std::string& file, const RowTokenizer& rows) {
  TokenizedRow result;
  result.entry.line = line.number;
  const std::string where = fmt::format("{}:{}", file, line.number);
  Json row;
  std::vector<Record> records;
  try {
    row = parse_json_line(line.text, where);
    records = rows.form.records_of(row, where);
  } catch (const Error& error) {
    result.malformed = error.what();
    result.account.dropped["malformed"] = 1;
  }
  result.account.rows = 1;
  if (records.size() == 1) result.account.add(survey_of(records[0]));
  if (records.empty()) return result;
  std::string dropped = add_examples(records, rows, result);
  if (dropped.empty()) dropped = add_traits(row, rows.options, result);
  if (!dropped.empty()) {
    result.account.dropped[dropped] = 1;
    result.examples.clear();
  }
  return result;
}

// A conversation with every kind of span and tag.
Record made_up_record() {
  TraceBuilder trace;
  trace.thinking("3 pens at 4:\n");
  trace.error("3 * 4 = 7.", 1, Proof::kExecuted);
  trace.reflection("I added.", 1);
  trace.correction("3 * 4 = 12.", 1);
  trace.output("12");
  Record record;
  record.id = "made up";
  record.messages = {{"user", "1 + 1?"}, {"assistant", trace.text()}, {"user", " Pens? \n"}};
  record.response = trace.text();
  record.spans = trace.spans();
  return record;
}

Json digests_of_tokenizer(const std::string& folder_or_file) {
  Json digests = Json::object();
  const fs::path path = folder_or_file;
  const fs::path folder = fs::is_directory(path) ? path : path.parent_path();
  for (const char* name :
       {"tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json"})
    if (fs::exists(folder / name)) digests[name] = digest_of_file(folder / name).hex();
  if (folder != path) digests["file"] = digest_of_file(path).hex();
  return digests;
}

Json ids_of_tags(const Tokenizer& tokenizer) {
  Json ids = Json::object();
  for (const TagToken& tag : tokenizer.tag_tokens()) ids[tag.tag] = tag.id;
  return ids;
}

}  // namespace

RowAccount tokenize_rows(const std::string& file, const RowTokenizer& rows,
                         TokenizedFileWriter& writer) {
  const ExampleCheck check(rows.chat, rows.tokenizer);
  RowAccount account;
  BadRowCounts malformed;
  LineReader lines(file);
  for (std::vector<Line> piece; read_piece(lines, piece);) {
    std::vector<TokenizedRow> done(piece.size());
    at::parallel_for(0, std::ssize(piece), 16, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
        done[i] = tokenized(piece[i], file, rows);
    });
    for (const TokenizedRow& row : done) {
      account.add(row.account);
      if (!row.malformed.empty()) malformed.add({row.entry.line, row.malformed});
      for (const Example& example : row.examples) {
        check(example);
        writer.add(example, row.entry);
      }
    }
  }
  if (malformed.total() > 0) account.malformed = {malformed.summary()};
  return account;
}

Json settings_of(const RowTokenizer& rows) {
  const SpanWeights& weights = rows.form.weights;
  ExampleStatus status;
  const Example example = example_of(made_up_record(), rows.chat, rows.tokenizer,
                                     {rows.options.max_seq_length, weights}, status);
  return {{"rows", rows.form.name},
          {"tokenizer", digests_of_tokenizer(rows.options.tokenizer)},
          {"bos", rows.tokenizer.bos_id().value_or(-1)},
          {"eos", rows.tokenizer.eos_id().value_or(-1)},
          {"tag tokens", ids_of_tags(rows.tokenizer)},
          {"template", rows.chat.name()},
          {"ends of turn", rows.chat.end_ids(rows.tokenizer)},
          {"weights of spans", weights.of_type},
          {"weight after the first reflection", weights.after_first_reflection},
          {"max_seq_length", rows.options.max_seq_length},
          {"weight_by", rows.options.weight_by},
          {"curriculum_by", rows.options.curriculum_by},
          {"made-up row", hash_of(TokenizedCorpus({example}))}};
}

std::map<std::size_t, Record> records_at(const std::vector<std::size_t>& rows,
                                         const TokenizedCorpus& corpus,
                                         const TrainingDataOptions& options) {
  const RowForm form = row_form(options);
  std::map<std::size_t, Record> records;
  for (std::size_t file = 0; file < options.files.size(); ++file) {
    std::multimap<std::uint64_t, std::size_t> wanted;  // examples by line
    for (const std::size_t row : rows)
      if (corpus.file_of(row) == file) wanted.emplace(corpus.entry(row).line, row);
    LineReader lines(options.files[file]);
    while (!wanted.empty()) {
      const auto line = lines.next();
      if (!line) fail("train", "{} has changed while it was read", options.files[file]);
      const auto [begin, end] = wanted.equal_range(lines.line_number());
      if (begin == end) continue;
      const std::string where = fmt::format("{}:{}", lines.path(), lines.line_number());
      const std::vector<Record> sides = form.records_of(parse_json_line(*line, where), where);
      for (auto at = begin; at != end; ++at)
        records[at->second] = sides.at(at->second % form.examples);
      wanted.erase(begin, end);
    }
  }
  return records;
}

}  // namespace reflect
