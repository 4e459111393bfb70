#include "reflect/score/score_rows.h"

#include <spdlog/spdlog.h>

#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <filesystem>

#include "reflect/base/config.h"
#include "reflect/base/hash.h"
#include "reflect/base/signals.h"
#include "reflect/data/decontaminate.h"
#include "reflect/metrics/progress.h"
#include "score/finished.h"
#include "score/journal.h"
#include "score/row_scorer.h"
#include "score/row_stream.h"
#include "score/select_rows.h"
#include "score/shard.h"

namespace reflect {

namespace {

void check_settings(const ScoreConfig& config) {
  const auto required = [](const std::string& value, std::string_view flag) {
    if (value.empty()) fail_usage("score", "--{} is missing", flag);
  };
  required(config.model, "model");
  required(config.input, "input");
  required(config.output, "output");
  required(config.selected, "selected");
  if (config.output == "-" || config.selected == "-")
    fail_usage("score", "--output and --selected must be files: a run is resumed from beside them");
  if (config.output == config.selected)
    fail_usage("score", "--output and --selected are the same file, {}", config.output);
  if (config.selection.policy.starts_with("selective") && !config.reverse)
    fail_usage("score", "--selection.policy {} compares r-IFD; leave --reverse at true",
               config.selection.policy);
  if (config.limit < 0) fail_usage("score", "--limit {} must not be negative", config.limit);
  if (!(config.decontaminate_ratio > 0 && config.decontaminate_ratio <= 1))
    fail_usage("score", "--decontaminate-ratio {} must be above 0 and at most 1",
               config.decontaminate_ratio);
  const std::string control = random_control_path(config);
  if (control == config.selected || control == config.output || control == config.input)
    fail_usage("score", "--random-control would replace {}; choose another name or none", control);
  check(config.selection);
}

// Forward passes that a batch of rows fills: the more, the more texts that begin alike meet in one.
constexpr std::int64_t kForwardPasses = 16;

// Consecutive rows whose passes fill some forward passes together (or one row). The plan depends on
// the input and the settings only; a batch is the unit of resume.
class BatchPlan {
 public:
  BatchPlan(std::int64_t max_batch_tokens, RowStream& rows)
      : capacity_(max_batch_tokens * kForwardPasses), rows_(rows) {}

  std::vector<RowWork> next() {
    std::vector<RowWork> batch;
    std::int64_t tokens = 0;
    while (held_ || (held_ = rows_.next())) {
      tokens += held_->tokens();
      if (!batch.empty() && tokens > capacity_) break;
      batch.push_back(std::move(*held_));
      held_.reset();
    }
    return batch;
  }

 private:
  std::int64_t capacity_;
  RowStream& rows_;
  std::optional<RowWork> held_;
};

// All that the batch's scores depend on: ids and content of its rows, settings and model.
std::string key_of(const std::vector<RowWork>& batch, const std::string& identity) {
  std::string text = identity;
  for (const RowWork& work : batch)
    text += json_of(work.record).dump() + "\n" + work.other_reflection + "\n";
  return content_hash(text);
}

std::size_t count_lines(const std::string& path) {
  LineReader lines(path);
  std::size_t count = 0;
  while (lines.next()) ++count;
  return count;
}

// The lines to score, and how many rows that may be; 0: not known.
struct Portion {
  LineRange lines;
  std::int64_t rows = 0;
};

Portion portion_of(const ScoreConfig& config, const Shard& shard) {
  if (config.input == "-") return {{}, config.limit};
  const std::size_t lines = count_lines(config.input);
  const LineRange range = lines_of(shard, lines);
  const auto rows = static_cast<std::int64_t>(std::min(range.end, lines) - range.begin);
  return {range, config.limit > 0 ? std::min(rows, config.limit) : rows};
}

// The settings of one shard: those of the run, with its own names for what it writes.
ScoreConfig settings_of(ScoreConfig config, const Shard& shard) {
  if (shard.whole()) return config;
  if (config.input == "-" || config.limit > 0)
    fail_usage("score", "--shard {}/{} needs an input that is a file, and no --limit", shard.index,
               shard.count);
  if (const std::string control = random_control_path(config); !control.empty())
    config.random_control = shard_path(control, shard);
  if (!config.report.empty()) config.report = shard_path(config.report, shard);
  config.output = shard_path(config.output, shard);
  config.selected = shard_path(config.selected, shard);
  return config;
}

// What this process computed, without what it found in the journal.
struct Work {
  std::int64_t rows = 0, tokens = 0;
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
  void add(const std::vector<RowWork>& batch) {
    rows += static_cast<std::int64_t>(batch.size());
    for (const RowWork& work : batch) tokens += work.tokens();
  }
  std::string line(const ScoredTokens& computed) const {
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const double share = computed.given > 0 ? 100.0 * static_cast<double>(computed.computed) /
                                                  static_cast<double>(computed.given)
                                            : 0;
    return fmt::format(
        "{} rows in {:.2f} s: {:.2f} rows/s, {:.0f} tokens/s; peak memory {} MiB\n"
        "{} of {} tokens computed ({:.1f} %), the others are common beginnings",
        rows, took.count(), static_cast<double>(rows) / took.count(),
        static_cast<double>(tokens) / took.count(), usage.ru_maxrss / 1024, computed.computed,
        computed.given, share);
  }
};

// The rows of the scored batches, in order.
ScoredRows rows_in(const Journal& journal, const std::vector<std::string>& keys) {
  return [&](const std::function<void(Json&)>& visit) {
    for (const std::string& key : keys)
      for (Json& row : journal.rows(key)) visit(row);
  };
}

ScoredRows rows_in(const std::string& path) {
  return [path](const std::function<void(Json&)>& visit) {
    LineReader lines(path);
    while (const auto line = lines.next()) {
      Json row = parse_json_line(*line, fmt::format("{}:{}", path, lines.line_number()));
      visit(row);
    }
  };
}

void write_rejected(const std::string& path, const std::vector<BadRow>& bad_rows) {
  if (bad_rows.empty()) {
    std::filesystem::remove(path);
    return;
  }
  AtomicWriter writer(path);
  for (const BadRow& bad : bad_rows)
    write_json_line(writer, {{"line", bad.line}, {"reason", bad.reason}});
  writer.commit();
}

// What the numbers mean and where they come from.
Json meta_of(const Json& identity, const std::string& key, const Json& counts) {
  Json meta = {{"tool", "reflect-score"},
               {"direction",
                "IFD and r-IFD: higher = harder for the model; >= 1: the condition "
                "does not help"}};
  meta.update(identity);
  meta["score_key"] = key;
  meta["counts"] = counts;
  return meta;
}

void print_summary(const SelectionOutcome& outcome, const Json& meta, const std::string& speed) {
  const Summary& summary = outcome.summary;
  const auto text = [&](const char* name) { return meta.at(name).get<std::string>(); };
  const std::string page = fmt::format(
      "{} rows scored, {} input lines rejected, {} rows kept\n"
      "mode {}, template {}, dtype {}, selection by the ratio of {}\n{}\n\n{}\n{}",
      summary.rows(), meta.at("counts").at("rejected_lines").get<std::size_t>(), summary.kept(),
      text("mode"), text("template"), text("dtype"),
      text("selection_ratio") == "ppl" ? "perplexities" : "losses", speed,
      summary.table() + summary.gain_lines(), outcome.table);
  std::fputs(page.c_str(), stdout);
  std::fflush(stdout);
  if (summary.mostly_unhelped())
    spdlog::warn(
        "more than half of the IFDs are above 1: prompts do not help this model; does it know the "
        "template {}?",
        text("template"));
}

// Prints the passes of the row with the id asked for.
ExitCode explain_row(const ScoreConfig& config) {
  if (config.model.empty() || config.input.empty())
    fail_usage("score", "--explain needs --model and --input");
  const RowScorer scorer(config);
  RecordReader reader(config.input);
  ReflectionDonor donor;
  while (const auto record = reader.next()) {
    if (record->id == config.explain) {
      const std::string text = scorer.explain(scorer.work_of(*record, donor.for_row(*record)));
      std::fputs(text.c_str(), stdout);
      return ExitCode::kDone;
    }
    donor.add(*record);
  }
  fail("score", "no row of {} has the id \"{}\" of --explain", config.input, config.explain);
}

// Decides among scored rows, writes everything about it and tells the user.
void finish(const ScoreConfig& config, const ScoredRows& rows, const ScorerProvider& scorer,
            Json meta, const std::string& speed) {
  const SelectionOutcome outcome = select_rows(config, rows, scorer);
  const std::size_t rejected = meta.at("counts").at("rejected_lines");
  meta["counts"] = outcome.summary.json();
  meta["counts"]["rejected_lines"] = rejected;
  meta["selection_ratio"] = config.selection.ratio;
  ScoreConfig copy = config;
  for (const Field& field : fields_of(copy)) meta["settings"][field.path] = text_of(field);
  write_file_atomic(config.output + ".meta.json", meta.dump(2) + "\n");
  print_summary(outcome, meta, speed);
}

// Selects among the scores that an earlier run left in `output`.
void select_again(const ScoreConfig& config, const Json& meta) {
  spdlog::info("{} holds the scores already; selecting among them", config.output);
  std::optional<RowScorer> scorer;
  const auto load = [&]() -> const RowScorer& { return scorer ? *scorer : scorer.emplace(config); };
  finish(config, rows_in(config.output), load, meta, "scores of an earlier run");
}

}  // namespace

ExitCode score_rows(const ScoreConfig& given) {
  if (!given.explain.empty()) return explain_row(given);
  check_settings(given);
  if (!given.decontaminate.empty())  // a bad file is told before hours of scoring
    Benchmarks(given.decontaminate, given.decontaminate_ratio);
  const Shard shard = shard_named(given.shard);
  const ScoreConfig config = settings_of(given, shard);
  const std::string key = score_key(config);
  if (const std::optional<Json> meta = finished_meta(config, key)) {
    select_again(config, *meta);
    return ExitCode::kDone;
  }
  const Portion portion = portion_of(config, shard);
  const RowScorer scorer(config);
  Progress progress("score", "rows", portion.rows, config.runtime.quiet);
  Journal journal(config.output + ".journal");
  if (journal.batches() > 0) spdlog::info("resuming after {} batches", journal.batches());

  std::vector<std::string> keys;
  std::int64_t done = 0;
  Work work;
  RowStream rows(
      config.input,
      {.lines = portion.lines, .limit = config.limit, .threads = config.tokenizer_threads},
      [&](Record record, const std::string& other) {
        return scorer.work_of(std::move(record), other);
      });
  BatchPlan plan(config.scorer.max_batch_tokens, rows);
  const std::string identity = scorer.identity().dump();
  for (auto batch = plan.next(); !batch.empty(); batch = plan.next()) {
    if (signal_received() != 0) return ExitCode::kIncomplete;
    keys.push_back(key_of(batch, identity));
    if (!journal.contains(keys.back())) {
      journal.append(keys.back(), scorer.score(batch));
      work.add(batch);
    }
    progress.update(done += static_cast<std::int64_t>(batch.size()));
  }
  progress.finish();
  const std::string speed = work.line(scorer.tokens());
  const std::vector<BadRow>& bad_rows = rows.bad_rows();
  write_rejected(config.output + ".rejected.jsonl", bad_rows);
  if (keys.empty()) {
    journal.remove();
    fail("score", "no row of {} could be read; {} lines were rejected{}", config.input,
         bad_rows.size(), bad_rows.empty() ? "" : "; the first: " + bad_rows[0].reason);
  }
  const Json counts = {{"rejected_lines", bad_rows.size()}};
  finish(
      config, rows_in(journal, keys), [&]() -> const RowScorer& { return scorer; },
      meta_of(scorer.identity(), key, counts), speed);
  journal.remove();
  return ExitCode::kDone;
}

}  // namespace reflect
