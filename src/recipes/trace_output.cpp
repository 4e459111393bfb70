#include "recipes/trace_output.h"

#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "recipes/run_report.h"
#include "reflect/base/error.h"
#include "reflect/base/hash.h"

namespace reflect {
namespace {

Json lineage_of(const TraceRow& row, const RunLineage& run) {
  Json::object_t given;  // built without the copies of an initializer list
  given.emplace_back("recipe", run.recipe);
  given.emplace_back("recipe_hash", run.recipe_hash);
  given.emplace_back("system_prompt_hash", run.system_prompt_hash);
  given.emplace_back("teacher", run.teacher);
  given.emplace_back("seed", run.seed);
  given.emplace_back("place", row.task->place);
  given.emplace_back("kind", row.errors.empty() ? "clean" : row.errors.front().kind);
  given.emplace_back("proof", proof_of(row));
  Json lineage = std::move(given);
  Json::array_t errors;
  for (const TraceError& error : row.errors) {
    Json::object_t entry;
    entry.emplace_back("round", error.round);
    entry.emplace_back("kind", error.kind);
    if (error.step) entry.emplace_back("step", *error.step);
    if (error.place) entry.emplace_back("position", Json{error.place->index, error.place->steps});
    if (error.noticed_after != 0) entry.emplace_back("noticed_after", error.noticed_after);
    errors.push_back(std::move(entry));
  }
  if (!errors.empty()) lineage["errors"] = std::move(errors);
  if (row.attempt != 0) lineage["attempt"] = row.attempt;
  for (const auto& [name, value] : row.lineage.items()) lineage[name] = value;
  return lineage;
}

Json rejection_of(const TraceRow& row) {
  Json json = {{"id", row.task->problem.id}, {"place", row.task->place}};
  if (row.attempt != 0) json["attempt"] = row.attempt;
  if (!variant_of(row).empty()) json["variant"] = variant_of(row);
  if (!row.at_step.empty()) json["step"] = row.at_step;
  json["reason"] = row.reason;
  if (!row.detail.empty()) json["detail"] = row.detail;
  if (!row.solution.steps.empty()) json["solution"] = row.solution.steps;
  if (!row.response.empty()) json["response"] = row.response;
  for (const auto& [name, texts] : row.fields) json["fields"][name] = texts;
  return json;
}

// The problem, or in its place what the row was assembled with.
Record problem_of(const TraceRow& row) {
  Record record = row.task->problem;
  const std::string group = record.id;
  if (row.assembled) {
    const AssembledRow& made = *row.assembled;
    if (made.prompt) {
      record = Record();
      record.messages.push_back({"user", *made.prompt});
    }
    if (made.answer) record.answer = *made.answer;
    if (made.system) {
      std::erase_if(record.messages, [](const Message& each) { return each.role == "system"; });
      add_system_prompt(*made.system, record);
    }
  }
  record.group = group;
  return record;
}

// "procedural", "local model"; several by their names in the run.
std::string names_of(const SynthesizeConfig& config) {
  const auto name_of = [](const TeacherConfig& teacher) {
    std::string model = std::filesystem::path(teacher.model).lexically_normal().filename();
    if (teacher.kind == "openai") model = teacher.model;
    return model.empty() ? teacher.kind : teacher.kind + " " + model;
  };
  std::string names = name_of(config.teacher);
  for (const TeacherConfig& teacher : config.teachers) {
    names += "; " + teacher.name + ": " + name_of(teacher);
  }
  return names;
}

}  // namespace

std::string path_beside(const std::string& output, const std::string& ending) {
  return std::filesystem::path(output).replace_extension(ending);
}

namespace {

constexpr std::string_view kIds = "/accepted.ids";

std::optional<RowsFile> rejection_writer(const std::string& output) {
  if (output == "-") return std::nullopt;
  return RowsFile(path_beside(output, ".rejected.jsonl"));
}

// `text` gives the row's line without its end.
template <class Text>
void write_line(RowsFile& file, const Text& text) {
  std::string line;
  try {
    line = text();
  } catch (const Json::exception& error) {
    fail("reflect-gen", "a row cannot be written: {}", error.what());
  }
  file.write(line += '\n');
}

std::int64_t bytes_of_ids(std::int64_t rows) {
  return rows * static_cast<std::int64_t>(sizeof(std::uint64_t));
}

}  // namespace

RunLineage::RunLineage(const Recipe& from, const SynthesizeConfig& config)
    : recipe(from.name),
      recipe_hash(from.hash),
      system_prompt(from.system_prompt),
      system_prompt_hash(content_hash(from.system_prompt)),
      teacher(names_of(config)),
      seed(config.runtime.seed) {}

void add_system_prompt(const std::string& text, Record& record) {
  if (text.empty() || record.messages.front().role == "system") return;
  record.messages.insert(record.messages.begin(), {"system", text});
}

Record record_of(const TraceRow& row, const RunLineage& run) {
  Record record = problem_of(row);
  record.variant = variant_of(row).empty() ? run.recipe : variant_of(row);
  add_system_prompt(run.system_prompt, record);
  record.response = row.response;
  record.spans = row.spans;
  record.lineage = lineage_of(row, run);
  record.id = content_id(record);
  return record;
}

TraceOutput::TraceOutput(const std::string& path, OutputFormat format, RunLineage run)
    : path_(path),
      format_(format),
      run_(std::move(run)),
      accepted_(path),
      rejected_(rejection_writer(path)) {}

TraceOutput::TraceOutput(const std::string& path, OutputFormat format, RunLineage run,
                         const std::string& folder, const OutputMark& mark)
    : path_(path),
      format_(format),
      run_(std::move(run)),
      accepted_(path, folder + "/accepted.part", mark.accepted),
      rejected_(
          RowsFile(path_beside(path, ".rejected.jsonl"), folder + "/rejected.part", mark.rejected)),
      ids_(GrowingFile(folder + std::string(kIds), bytes_of_ids(mark.rows))) {
  const MappedFile ids(ids_->path());
  written_.reserve(static_cast<std::size_t>(2 * mark.rows));
  for (std::size_t at = 0; at < ids.size(); at += sizeof(std::uint64_t)) {
    std::uint64_t id = 0;
    std::memcpy(&id, ids.data() + at, sizeof(id));
    written_.insert(id);
  }
}

void TraceOutput::write(TraceRow& row) {
  if (row.fate == Fate::kRejected && rejected_) {
    write_line(*rejected_, [&] { return rejection_of(row).dump(); });
  }
  if (row.fate != Fate::kAccepted) return;
  const Record record = record_of(row, run_);
  const std::uint64_t id = content_hash64(record.id);
  if (!written_.insert(id).second) return row.end(Fate::kNotUsed, "repeated_row");
  write_line(accepted_, [&] { return line_of(format_, row, record); });
  if (ids_) ids_->write({reinterpret_cast<const char*>(&id), sizeof(id)});
}

OutputMark TraceOutput::sync() {
  const std::int64_t ids = ids_->sync();
  return {accepted_.sync(), rejected_->sync(), ids / bytes_of_ids(1)};
}

void TraceOutput::commit(const Json& manifest, const std::string& card, bool final) {
  if (rejected_) {
    rejected_->commit();
    write_file_atomic(path_beside(path_, ".manifest.json"), manifest.dump(2) + "\n");
    write_file_atomic(path_beside(path_, ".card.md"), card);
  }
  accepted_.commit();
  if (!final || !ids_) return;
  accepted_.discard();
  rejected_->discard();
  ::unlink(ids_->path().c_str());
}

}  // namespace reflect
