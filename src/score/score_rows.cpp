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
  BatchPlan(const ScoreConfig& config, const RowScorer& scorer, RecordReader& reader)
      : config_(config), scorer_(scorer), reader_(reader) {}

  std::vector<RowWork> next() {
    std::vector<RowWork> batch;
    std::int64_t tokens = 0;
    while (held_ || take()) {
      tokens += held_->tokens();
      if (!batch.empty() && tokens / kForwardPasses >= config_.scorer.max_batch_tokens) break;
      batch.push_back(std::move(*held_));
      held_.reset();
    }
    return batch;
  }

 private:
  bool take() {
    if (config_.limit > 0 && taken_ == config_.limit) return false;
    std::optional<Record> record = reader_.next();
    if (!record) return false;
    ++taken_;
    held_ = scorer_.work_of(std::move(*record));
    return true;
  }

  const ScoreConfig& config_;
  const RowScorer& scorer_;
  RecordReader& reader_;
  std::optional<RowWork> held_;
  std::int64_t taken_ = 0;
};

// All that the batch's scores depend on: ids and content of its rows, settings and model.
std::string key_of(const std::vector<RowWork>& batch, const std::string& identity) {
  std::string text = identity;
  for (const RowWork& work : batch) text += json_of(work.record).dump() + "\n";
  return content_hash(text);
}

std::int64_t count_lines(const ScoreConfig& config) {
  if (config.input == "-") return config.limit;
  LineReader lines(config.input);
  std::int64_t count = 0;
  while ((config.limit == 0 || count < config.limit) && lines.next()) ++count;
  return count;
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
  std::string line() const {
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return fmt::format("{} rows in {:.2f} s: {:.2f} rows/s, {:.0f} tokens/s; peak memory {} MiB",
                       rows, took.count(), static_cast<double>(rows) / took.count(),
                       static_cast<double>(tokens) / took.count(), usage.ru_maxrss / 1024);
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
      text("selection_ratio") == "ppl" ? "perplexities" : "losses", speed, summary.table());
  std::fputs(page.c_str(), stdout);
  std::fflush(stdout);
  if (summary.mostly_unhelped())
    spdlog::warn(
        "more than half of the IFDs are above 1: prompts do not help this model; does it know the "
        "template {}?",
        text("template"));
}

}  // namespace

ExitCode score_rows(const ScoreConfig& config) {
  check_settings(config);
  RecordReader reader(config.input);
  const RowScorer scorer(config);
  Progress progress("score", "rows", count_lines(config), config.runtime.quiet);
  Journal journal(config.output + ".journal");
  if (journal.batches() > 0) spdlog::info("resuming after {} batches", journal.batches());

  Scored scored;
  Work work;
  BatchPlan plan(config, scorer, reader);
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
  const std::string speed = work.line();
  write_rejected(config.output + ".rejected.jsonl", reader.bad_rows());
  if (scored.candidates.empty()) {
    journal.remove();
    fail("score", "no row of {} could be read; {} lines were rejected{}", config.input,
         reader.bad_rows().size(),
         reader.bad_rows().empty() ? "" : "; the first: " + reader.bad_rows()[0].reason);
  }

  const Summary summary = write_rows(config, journal, scored);
  Json counts = summary.json();
  counts["rejected_lines"] = reader.bad_rows().size();
  const Json meta = meta_of(config, scorer.identity(), counts);
  write_file_atomic(config.output + ".meta.json", meta.dump(2) + "\n");
  journal.remove();
  print_summary(summary, meta, speed);
  return ExitCode::kDone;
}

}  // namespace reflect
