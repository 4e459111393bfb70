#include "score/select_rows.h"

#include <algorithm>
#include <filesystem>

#include "reflect/base/log.h"
#include "score/embeddings.h"
#include "score/random_control.h"
#include "score/report.h"

namespace reflect {

namespace {

// What a drop rests on beside the row's own scores; null where nothing.
Json detail_of(std::size_t row, const Candidates& candidates, const Selection& selection) {
  if (const auto found = selection.duplicate_of.find(row); found != selection.duplicate_of.end())
    return {{"duplicate_of", candidates.id(found->second.text)},
            {"similarity", found->second.similarity}};
  if (selection.decisions[row] != Decision::kContaminated) return {};
  const BenchmarkMatch& match = candidates.contaminated().at(row);
  Json detail = {
      {"rule", match.rule}, {"file", match.file}, {"line", match.line}, {"ngram", match.ngram}};
  if (match.rule == "8-gram-ratio") detail["ratio"] = match.ratio;
  return detail;
}

void set_decision(Json& row, std::size_t index, const Candidates& candidates,
                  const Selection& selection) {
  const Decision decision = selection.decisions[index];
  row["decision"] = decision == Decision::kKept ? "kept" : "dropped";
  row["decision_reason"] = reason_of(decision);
  row.erase("decision_detail");
  if (Json detail = detail_of(index, candidates, selection); !detail.is_null())
    row["decision_detail"] = std::move(detail);
}

// The decided rows, to all files at once.
class RowFiles {
 public:
  explicit RowFiles(const ScoreConfig& config) : all_(config.output), kept_(config.selected) {
    if (const std::string path = random_control_path(config); !path.empty()) control_.emplace(path);
  }
  void write(const Json& row, bool kept, bool in_control) {
    write_json_line(all_, row);
    if (kept) write_json_line(kept_, row);
    if (control_ && in_control) write_json_line(*control_, row);
  }
  void commit() {
    kept_.commit();
    if (control_) control_->commit();
    all_.commit();
  }

 private:
  AtomicWriter all_, kept_;
  std::optional<AtomicWriter> control_;
};

Json duplicates_json(const Selection& selection) {
  std::size_t exact = 0;
  for (const auto& [row, match] : selection.duplicate_of)
    exact += selection.decisions[row] == Decision::kDuplicate;
  return {{"exact", exact}, {"near", selection.duplicate_of.size() - exact}};
}

Json benchmarks_json(const Candidates& candidates) {
  Json files = Json::array();
  if (!candidates.benchmarks()) return files;
  for (const Benchmarks::File& file : candidates.benchmarks()->files()) {
    std::map<std::string, std::size_t> by_rule;
    for (const auto& [row, match] : candidates.contaminated())
      if (match.file == file.path) ++by_rule[match.rule];
    files.push_back({{"file", file.path},
                     {"rows", file.rows},
                     {"texts", file.texts},
                     {"contaminated_rows", by_rule}});
  }
  return files;
}

Json receipt_json(const ScoreConfig& config, const Receipt& receipt, const Candidates& candidates,
                  const Selection& selection, std::size_t control) {
  Json json = {{"tool", "reflect-score"}, {"version", REFLECT_VERSION}};
  json["policy"] = config.selection.policy;
  json["ratio"] = config.selection.ratio;
  json.update(receipt.json());
  std::size_t right = 0, wrong = 0;
  for (const Candidate& candidate : candidates.list()) {
    right += candidate.correct == true;
    wrong += candidate.correct == false;
  }
  json["correctness"] = {
      {"right", right}, {"wrong", wrong}, {"unknown", candidates.list().size() - right - wrong}};
  json["duplicates"] = duplicates_json(selection);
  json["decontamination"] = benchmarks_json(candidates);
  const std::string path = random_control_path(config);
  if (!path.empty())
    json["random_control"] = {
        {"file", path},
        {"rows", control},
        {"seed", config.runtime.seed},
        {"from",
         "rows scored without failure (prefiltered ones by the small model), not known to be "
         "wrong, not contaminated"}};
  return json;
}

// A gate that asks for what no row has drops nothing, which must be said.
void warn_of_idle_gates(const SelectionConfig& selection, const Candidates& candidates) {
  const auto none = [&](auto has) {
    return std::none_of(candidates.list().begin(), candidates.list().end(), has);
  };
  if ((selection.correct == "recorded" || selection.correct == "checker") &&
      none([](const Candidate& c) { return c.correct.has_value(); }))
    log_warn("--selection.correct {} drops nothing: no row has {}", selection.correct,
             selection.correct == "recorded"
                 ? "a verdict (\"correct\" or \"verdict\")"
                 : "a gold answer and a final answer to compare with it");
  if (selection.min_gain > kNoGainGate &&
      none([](const Candidate& c) { return c.gain.has_value(); }))
    log_warn(
        "--selection.min-gain {:g} drops nothing: no row has a span gain; it needs rows with spans "
        "of a reflection and its correction, and --span-gain true",
        selection.min_gain);
}

}  // namespace

std::string random_control_path(const ScoreConfig& config) {
  if (config.random_control == "none") return "";
  if (config.random_control != "auto") return config.random_control;
  return std::filesystem::path(config.selected).replace_filename("random_control.jsonl");
}

SelectionOutcome select_rows(const ScoreConfig& config, const ScoredRows& rows,
                             const ScorerProvider& scorer) {
  Candidates candidates(config);
  rows([&](Json& row) { candidates.add(row); });
  warn_of_idle_gates(config.selection, candidates);
  const SelectionTools tools = {.near_duplicates = candidates.near_duplicates(),
                                .diverse = [&](const auto& pool, std::size_t count) {
                                  return diverse_rows(config, rows, scorer, pool, count);
                                }};
  const Selection selection = select(candidates.list(), config.selection, tools);
  const Receipt receipt = receipt_of(config, candidates, selection);
  const std::vector<std::size_t> control =
      random_control(candidates, config.selection, selection.kept(),
                     static_cast<std::uint64_t>(config.runtime.seed));

  SelectionOutcome outcome;
  ReportInput report{
      config, candidates, selection, receipt, example_groups(config, candidates, selection), {}};
  for (const ExampleGroup& group : report.groups)
    for (const std::size_t row : group.rows) report.examples[row];
  RowFiles files(config);
  rows([&](Json& row) {
    const std::size_t index = outcome.summary.rows();
    set_decision(row, index, candidates, selection);
    outcome.summary.add(row, selection.decisions[index]);
    files.write(row, selection.decisions[index] == Decision::kKept,
                std::binary_search(control.begin(), control.end(), index));
    if (const auto shown = report.examples.find(index); shown != report.examples.end())
      shown->second = row;
  });
  files.commit();
  const Json json = receipt_json(config, receipt, candidates, selection, control.size());
  write_file_atomic(config.output + ".receipt.json", json.dump(2) + "\n");
  if (!config.report.empty()) write_file_atomic(config.report, report_html(report));
  outcome.table = receipt.table();
  return outcome;
}

}  // namespace reflect
