#include "reflect/score/score_rows.h"

#include <cstdio>
#include <filesystem>

#include "reflect/base/config.h"
#include "reflect/base/log.h"
#include "reflect/base/outputs.h"
#include "reflect/base/signals.h"
#include "reflect/data/bad_rows.h"
#include "reflect/data/decontaminate.h"
#include "reflect/model/llama_config.h"
#include "score/finished.h"
#include "score/prefilter.h"
#include "score/row_scorer.h"
#include "score/score_batches.h"
#include "score/select_rows.h"

namespace reflect {

namespace {

void check_models(const ScoreConfig& config) {
  require_checkpoint("score", "model", config.model);
  read_llama_config(config.model);  // one that cannot be read is told before hours of prefiltering
  if (!config.prefilter.model.empty())
    require_checkpoint("score", "prefilter.model", config.prefilter.model);
}

// The selective policies choose among the rows of a group: some row must be an original of one.
void check_variants(const ScoreConfig& config) {
  if (!config.selection.policy.starts_with("selective") || config.input == "-") return;
  RecordReader reader(config.input);
  std::size_t rows = 0;
  while (const auto record = reader.next()) {
    if (!record->group.empty() && record->variant == "original") return;
    ++rows;
  }
  if (rows > 0)
    fail_usage("score",
               "--selection.policy {} compares each group's rows with its original, but none of {} "
               "rows of {} has a \"group\" and the \"variant\" original",
               config.selection.policy, rows, config.input);
}

void check_settings(const ScoreConfig& config) {
  const auto required = [](const std::string& value, std::string_view flag) {
    if (value.empty()) fail_usage("score", "--{} is missing", flag);
  };
  required(config.model, "model");
  required(config.input, "input");
  required(config.output, "output");
  required(config.selected, "selected");
  check_models(config);
  if (config.output == "-" || config.selected == "-")
    fail_usage("score", "--output and --selected must be files: a run is resumed from beside them");
  if (config.selection.policy.starts_with("selective") && !config.reverse)
    fail_usage("score", "--selection.policy {} compares r-IFD; leave --reverse at true",
               config.selection.policy);
  if (config.limit < 0) fail_usage("score", "--limit {} must not be negative", config.limit);
  if (!(config.decontaminate_ratio > 0 && config.decontaminate_ratio <= 1))
    fail_usage("score", "--decontaminate-ratio {} must be above 0 and at most 1",
               config.decontaminate_ratio);
  check_outputs("score",
                {{"output", config.output},
                 {"selected", config.selected},
                 {"random-control", random_control_path(config)},
                 {"report", config.report}},
                {{"input", config.input}});
  check(config.selection);
  check_prefilter(config);
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

ExitCode stopped() {
  log_warn("ended by signal {}; the same command goes on behind what is scored", signal_received());
  return ExitCode::kIncomplete;
}

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

void write_rejected(const ScoreConfig& config, const std::vector<BadRow>& bad_rows) {
  const std::string path = config.output + ".rejected.jsonl";
  if (bad_rows.empty()) {
    std::filesystem::remove(path);
    return;
  }
  log_warn("{}", summary_of(bad_rows, config.input));
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
    log_warn(
        "more than half of the IFDs are above 1: prompts do not help this model; does it know the "
        "template {}?",
        text("template"));
}

// Prints the passes of the row with the id asked for.
ExitCode explain_row(const ScoreConfig& config) {
  if (config.model.empty() || config.input.empty())
    fail_usage("score", "--explain needs --model and --input");
  check_models(config);
  RecordReader reader(config.input);
  ReflectionDonor donor;
  while (const auto record = reader.next()) {
    if (record->id == config.explain) {
      const RowScorer scorer(config);
      std::string text = scorer.explain(scorer.work_of(*record, donor.for_row(*record)));
      if (!config.prefilter.model.empty()) {
        const RowScorer small(prefilter_settings(config));
        text += "\nprefilter: " + small.explain(small.work_of(*record));
      }
      std::fputs(text.c_str(), stdout);
      return ExitCode::kDone;
    }
    donor.add(*record);
  }
  fail("score", "no row of {} has the id \"{}\" of --explain", config.input, config.explain);
}

// What the student does with each row.
BatchScoring student(const RowScorer& scorer, const std::optional<Prefilter>& prefilter) {
  return {.label = "score",
          .identity = scorer.identity().dump(),
          .prepare =
              [&](InputRow row) {
                PrefilterVerdict verdict;
                if (prefilter) verdict = prefilter->verdict(row.number);
                RowWork work;
                if (verdict.status == ScoreStatus::kOk)
                  work = scorer.work_of(std::move(row.record), row.other_reflection);
                else
                  work.record = std::move(row.record);
                work.prefilter = std::move(verdict);
                return work;
              },
          .score = [&](const std::vector<RowWork>& batch) { return scorer.score(batch); }};
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
  log_info("{} holds the scores already; selecting among them", config.output);
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
  check_variants(given);
  const Shard shard = shard_named(given.shard);
  const ScoreConfig config = settings_of(given, shard);
  const std::string key = score_key(config);
  if (const std::optional<Json> meta = finished_meta(config, key)) {
    select_again(config, *meta);
    return ExitCode::kDone;
  }
  const Portion portion = portion_of(config, shard);
  Journal journal(config.output + ".journal");
  if (journal.batches() > 0) log_info("resuming after {} batches", journal.batches());
  std::optional<Journal> small_journal;
  std::optional<Prefilter> prefilter;
  if (!config.prefilter.model.empty()) {
    small_journal.emplace(config.output + ".prefilter.journal");
    prefilter = run_prefilter(config, portion, *small_journal);
    if (!prefilter) return stopped();
  }
  const RowScorer scorer(config);
  const auto done = score_batches(config, portion, student(scorer, prefilter), journal);
  if (!done) return stopped();
  write_rejected(config, done->bad_rows);
  const auto remove_journals = [&] {
    journal.remove();
    if (small_journal) small_journal->remove();
  };
  if (done->keys.empty()) {
    remove_journals();
    fail("score", "no row of {} could be read{}", config.input,
         done->bad_rows.empty() ? ": it has none" : ": " + done->bad_rows[0].reason);
  }
  Json meta = meta_of(scorer.identity(), key, {{"rejected_lines", done->bad_rows.size()}});
  if (prefilter) meta["prefilter"] = prefilter->meta();
  finish(
      config, rows_in(journal, done->keys), [&]() -> const RowScorer& { return scorer; }, meta,
      (prefilter ? prefilter->line() + "\n" : "") + done->speed(scorer.tokens()));
  remove_journals();
  return ExitCode::kDone;
}

}  // namespace reflect
