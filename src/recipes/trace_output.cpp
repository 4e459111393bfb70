#include "trace_output.h"

#include "reflect/base/hash.h"
#include "run_report.h"

namespace reflect {
namespace {

Json lineage_of(const TraceRow& row, const RunLineage& run) {
  Json lineage = {{"recipe", run.recipe},
                  {"recipe_hash", run.recipe_hash},
                  {"system_prompt_hash", run.system_prompt_hash},
                  {"teacher", run.teacher},
                  {"seed", run.seed},
                  {"place", row.task->place}};
  if (row.task->program) {
    lineage["family"] = row.task->program->family;
    lineage["operations"] = row.task->program->steps.size();
  }
  lineage["kind"] = row.errors.empty() ? "clean" : row.errors.front().kind;
  lineage["proof"] = proof_of(row);
  if (row.errors.empty()) return lineage;
  Json& errors = lineage["errors"] = Json::array();
  for (const TraceError& error : row.errors) {
    Json entry = {{"round", error.round}, {"kind", error.kind}, {"proof", name_of(error.proof)}};
    entry.update(error.details);
    errors.push_back(std::move(entry));
  }
  return lineage;
}

Json rejection_of(const TraceRow& row) {
  Json json = {{"id", row.task->problem.id}, {"place", row.task->place}};
  if (!row.solution.source.empty()) json["variant"] = row.solution.source;
  if (!row.at_step.empty()) json["step"] = row.at_step;
  json["reason"] = row.reason;
  if (!row.detail.empty()) json["detail"] = row.detail;
  if (!row.solution.steps.empty()) json["solution"] = row.solution.steps;
  if (!row.response.empty()) json["response"] = row.response;
  return json;
}

std::optional<AtomicWriter> writer_beside(const std::string& path) {
  if (path == "-") return std::nullopt;
  return AtomicWriter(path + ".rejected.jsonl");
}

}  // namespace

RunLineage::RunLineage(const Recipe& from, const SynthesizeConfig& config)
    : recipe(from.name),
      recipe_hash(from.hash),
      system_prompt(from.system_prompt),
      system_prompt_hash(content_hash(from.system_prompt)),
      teacher(config.teacher.kind),
      seed(config.runtime.seed) {}

Record record_of(const TraceRow& row, const RunLineage& run) {
  Record record = row.task->problem;
  record.group = record.id;
  record.variant = row.solution.source.empty() ? run.recipe : row.solution.source;
  if (!run.system_prompt.empty() && record.messages.front().role != "system") {
    record.messages.insert(record.messages.begin(), {"system", run.system_prompt});
  }
  record.response = row.response;
  record.spans = row.spans;
  record.lineage = lineage_of(row, run);
  record.id = content_id(record);
  return record;
}

TraceOutput::TraceOutput(const std::string& path, RunLineage run)
    : path_(path), run_(std::move(run)), accepted_(path), rejected_(writer_beside(path)) {}

void TraceOutput::write(TraceRow& row) {
  if (row.fate == Fate::kRejected && rejected_) write_json_line(*rejected_, rejection_of(row));
  if (row.fate != Fate::kAccepted) return;
  const Record record = record_of(row, run_);
  if (written_.insert(record.id).second) {
    write_json_line(accepted_, json_of(record));
  } else {
    row.end(Fate::kNotUsed, "repeated_row");
  }
}

void TraceOutput::commit(Json manifest) {
  if (rejected_) {
    rejected_->commit();
    write_file_atomic(path_ + ".manifest.json", manifest.dump(2) + "\n");
  }
  accepted_.commit();
}

}  // namespace reflect
