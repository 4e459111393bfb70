#include "reflect/score/score_rows.h"

#include <spdlog/spdlog.h>

#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <filesystem>

#include "reflect/base/config.h"
#include "reflect/base/hash.h"
#include "reflect/base/signals.h"
#include "reflect/metrics/progress.h"
#include "score/journal.h"
#include "score/row_scorer.h"
#include "score/row_stream.h"
#include "score/shard.h"
#include "score/summary.h"

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
  if (config.selection.policy != "none" && !config.reverse)
    fail_usage("score", "--selection.policy {} compares r-IFD; leave --reverse at true",
               config.selection.policy);
  if (config.limit < 0) fail_usage("score", "--limit {} must not be negative", config.limit);
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
  config.output = shard_path(config.output, shard);
  config.selected = shard_path(config.selected, shard);
  return config;
}

std::optional<double> number(const Json& scores, const std::string& name) {
  const Json& value = scores.at(name);
  return value.is_number() ? std::optional(value.get<double>()) : std::nullopt;
}

Candidate candidate_of(const Json& row, const std::string& ratio) {
  const Json& scores = row.at("scores");
  const std::string id = row.at("id").get<std::string>();
  return {.group = row.value("group", "id " + id),
          .variant = row.value("variant", ""),
          .status = *score_status_named(scores.at("status").get<std::string>()),
          .ifd = number(scores, "ifd_" + ratio),
          .rifd = number(scores, "rifd_" + ratio)};
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

// The scored batches in order, and the decisions over all of their rows.
struct Scored {
  std::vector<std::string> keys;
  std::vector<Candidate> candidates;
};

Summary write_rows(const ScoreConfig& config, const Journal& journal, const Scored& scored) {
  const std::vector<Decision> decisions = select(scored.candidates, config.selection);
  AtomicWriter all(config.output), kept(config.selected);
  Summary summary;
  for (const std::string& key : scored.keys) {
    for (Json& row : journal.rows(key)) {
      const Decision decision = decisions[summary.rows()];
      row["decision"] = decision == Decision::kKept ? "kept" : "dropped";
      row["decision_reason"] = reason_of(decision);
      summary.add(row, decision);
      write_json_line(all, row);
      if (decision == Decision::kKept) write_json_line(kept, row);
    }
  }
  all.commit();
  kept.commit();
  return summary;
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
Json meta_of(const ScoreConfig& config, const Json& identity, const Json& counts) {
  Json meta = {{"tool", "reflect-score"},
               {"direction",
                "IFD and r-IFD: higher = harder for the model; >= 1: the condition "
                "does not help"}};
  meta.update(identity);
  meta["selection_ratio"] = config.selection.ratio;
  meta["counts"] = counts;
  ScoreConfig copy = config;
  for (const Field& field : fields_of(copy)) meta["settings"][field.path] = text_of(field);
  return meta;
}

void print_summary(const Summary& summary, const Json& meta, const std::string& speed) {
  const auto text = [&](const char* name) { return meta.at(name).get<std::string>(); };
  const std::string page = fmt::format(
      "{} rows scored, {} input lines rejected, {} rows kept\n"
      "mode {}, template {}, dtype {}, selection by the ratio of {}\n{}\n\n{}",
      summary.rows(), meta.at("counts").at("rejected_lines").get<std::size_t>(), summary.kept(),
      text("mode"), text("template"), text("dtype"),
      text("selection_ratio") == "ppl" ? "perplexities" : "losses", speed,
      summary.table() + summary.gain_lines());
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

}  // namespace

ExitCode score_rows(const ScoreConfig& given) {
  if (!given.explain.empty()) return explain_row(given);
  check_settings(given);
  const Shard shard = shard_named(given.shard);
  const ScoreConfig config = settings_of(given, shard);
  const Portion portion = portion_of(config, shard);
  const RowScorer scorer(config);
  Progress progress("score", "rows", portion.rows, config.runtime.quiet);
  Journal journal(config.output + ".journal");
  if (journal.batches() > 0) spdlog::info("resuming after {} batches", journal.batches());

  Scored scored;
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
    scored.keys.push_back(key_of(batch, identity));
    if (!journal.contains(scored.keys.back())) {
      journal.append(scored.keys.back(), scorer.score(batch));
      work.add(batch);
    }
    for (const Json& row : journal.rows(scored.keys.back()))
      scored.candidates.push_back(candidate_of(row, config.selection.ratio));
    progress.update(static_cast<std::int64_t>(scored.candidates.size()));
  }
  progress.finish();
  const std::string speed = work.line(scorer.tokens());
  const std::vector<BadRow>& bad_rows = rows.bad_rows();
  write_rejected(config.output + ".rejected.jsonl", bad_rows);
  if (scored.candidates.empty()) {
    journal.remove();
    fail("score", "no row of {} could be read; {} lines were rejected{}", config.input,
         bad_rows.size(), bad_rows.empty() ? "" : "; the first: " + bad_rows[0].reason);
  }

  const Summary summary = write_rows(config, journal, scored);
  Json counts = summary.json();
  counts["rejected_lines"] = bad_rows.size();
  const Json meta = meta_of(config, scorer.identity(), counts);
  write_file_atomic(config.output + ".meta.json", meta.dump(2) + "\n");
  journal.remove();
  print_summary(summary, meta, speed);
  return ExitCode::kDone;
}

}  // namespace reflect
