#include "reflect/score/score_rows.h"

#include <cstdio>
#include <filesystem>

#include "reflect/base/config.h"
#include "reflect/base/hash.h"
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

// With the job's other processes, which must have the same settings and model.
Placement meet_scorers(const ScoreConfig& config) {
  Placement placement = open_placement(config.placement, config.launch, config.runtime);
  if (placement.group.size() == 1) return placement;
  if (config.input == "-")
    fail_usage("score", "several processes need an --input that is a file: each reads it");
  ScoreConfig copy = config;
  NamedTexts settings = texts_of(fields_of(copy));
  settings.emplace_back("the hash of --model's config.json",
                        content_hash(read_file(config.model + "/config.json")));
  placement.group.require_same(settings);
  return placement;
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

ExitCode stopped(const Placement& placement) {
  if (placement.first())
    log_warn("ended by signal {}; the same command goes on behind what is scored",
             signal_received());
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

// Prints the passes of the row with the id asked for. Only the first process does.
ExitCode explain_row(const ScoreConfig& config) {
  if (config.model.empty() || config.input.empty())
    fail_usage("score", "--explain needs --model and --input");
  check_models(config);
  const bool together = config.placement.in_shares();
  if (!together && launch_environment().rank > 0) return ExitCode::kDone;
  Placement placement;
  placement.config = config.placement;
  if (together) placement = meet_scorers(config);
  if (!placement.first()) {
    RowScorer(config, placement).leave();
    return ExitCode::kDone;
  }
  RecordReader reader(config.input);
  ReflectionDonor donor;
  while (const auto record = reader.next()) {
    if (record->id == config.explain) {
      const RowScorer scorer(config, placement);
      std::string text = scorer.explain(scorer.work_of(*record, donor.for_row(*record)));
      scorer.leave();
      if (!config.prefilter.model.empty()) {
        const Placement whole;
        const RowScorer small(prefilter_settings(config), whole);
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
BatchScoring student(const RowScorer& scorer, const std::optional<Prefilter>& prefilter,
                     ProcessGroup group) {
  return {.label = "score",
          .identity = group.from_rank_0([&] { return scorer.identity().dump(); }),
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
          .score = [&](const std::vector<RowWork>& batch) { return scorer.score(batch); },
          .leave = [&] { scorer.leave(); }};
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

// Whether a selection needs the model, which the first process cannot run alone.
bool selects_together(const ScoreConfig& config, const Placement& placement) {
  const std::string& policy = config.selection.policy;
  return placement.shared() && (policy == "diverse" || policy == "superfilter");
}

// Selects among the scores that an earlier run left in `output`, which has `meta` (of the first
// process).
void select_again(const ScoreConfig& config, const Json& meta, const Placement& placement) {
  std::optional<RowScorer> scorer;
  const auto load = [&]() -> const RowScorer& {
    return scorer ? *scorer : scorer.emplace(config, placement);
  };
  const bool together = selects_together(config, placement);
  if (together) load();
  if (placement.first()) {
    log_info("{} holds the scores already; selecting among them", config.output);
    finish(config, rows_in(config.output), load, meta, "scores of an earlier run");
  }
  if (together) scorer->leave();
}

// The batches that are done, of the student and of the prefilter's model; the first process's.
struct Journals {
  std::optional<Journal> student, small;

  Journals(const ScoreConfig& config, const Placement& placement) {
    if (!placement.first()) return;
    student.emplace(config.output + ".journal");
    if (student->batches() > 0) log_info("resuming after {} batches", student->batches());
    if (!config.prefilter.model.empty()) small.emplace(config.output + ".prefilter.journal");
  }
  void remove() {
    student->remove();
    if (small) small->remove();
  }
};

Journal* pointer_to(std::optional<Journal>& journal) {
  return journal ? &*journal : nullptr;
}

// Of all processes together.
ScoredTokens total_of(const ScoredTokens& tokens, ProcessGroup group) {
  return {static_cast<std::int64_t>(group.sum(static_cast<double>(tokens.given))),
          static_cast<std::int64_t>(group.sum(static_cast<double>(tokens.computed)))};
}

// Scores the shard's rows, each process some; the first one selects. `key`: the scores'.
ExitCode score_anew(const ScoreConfig& config, const Shard& shard, const std::string& key,
                    const Placement& placement) {
  const Portion portion = portion_of(config, shard);
  Journals journals(config, placement);
  std::optional<Prefilter> prefilter;
  if (!config.prefilter.model.empty()) {
    prefilter = run_prefilter(config, portion, pointer_to(journals.small), placement);
    if (!prefilter) return stopped(placement);
  }
  const RowScorer scorer(config, placement);
  const auto done = score_batches(config, portion, student(scorer, prefilter, placement.group),
                                  pointer_to(journals.student), placement.group);
  if (!done) return stopped(placement);
  const ScoredTokens tokens = total_of(scorer.tokens(), placement.group);
  if (!placement.first()) {
    if (selects_together(config, placement)) scorer.leave();
    return ExitCode::kDone;
  }
  write_rejected(config, done->bad_rows);
  if (done->keys.empty()) {
    journals.remove();
    fail("score", "no row of {} could be read{}", config.input,
         done->bad_rows.empty() ? ": it has none" : ": " + done->bad_rows[0].reason);
  }
  Json meta = meta_of(scorer.identity(), key, {{"rejected_lines", done->bad_rows.size()}});
  if (prefilter) meta["prefilter"] = prefilter->meta();
  finish(
      config, rows_in(*journals.student, done->keys), [&]() -> const RowScorer& { return scorer; },
      meta, (prefilter ? prefilter->line() + "\n" : "") + done->speed(tokens));
  if (selects_together(config, placement)) scorer.leave();
  journals.remove();
  return ExitCode::kDone;
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
  Placement placement = meet_scorers(config);
  const std::string key = placement.first() ? score_key(config) : "";
  const std::optional<Json> meta = placement.first() ? finished_meta(config, key) : std::nullopt;
  if (placement.group.max(meta ? 1 : 0) == 0) return score_anew(config, shard, key, placement);
  select_again(config, meta.value_or(Json()), placement);
  return ExitCode::kDone;
}

}  // namespace reflect
