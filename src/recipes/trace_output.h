// Accepted rows as records, and the files that a run writes.
#pragma once

#include <optional>
#include <unordered_set>

#include "recipes/output_format.h"
#include "recipes/rows_file.h"
#include "recipes/task.h"
#include "reflect/recipes/recipe.h"
#include "reflect/recipes/synthesize.h"

namespace reflect {

// Everything about a run that stands in each row's lineage.
struct RunLineage {
  RunLineage(const Recipe& recipe, const SynthesizeConfig& config);

  std::string recipe, recipe_hash, system_prompt, system_prompt_hash, teacher;
  std::int64_t seed;
};

// Puts a system message before the others; a row that has one keeps its own.
void add_system_prompt(const std::string& text, Record& record);

Record record_of(const TraceRow& row, const RunLineage& run);

// The same name with another ending: "a/traces.jsonl" and ".run" give "a/traces.run".
std::string path_beside(const std::string& output, const std::string& ending);

// What of the output is on the disk: bytes of accepted and rejected rows, and accepted rows.
struct OutputMark {
  std::int64_t accepted = 0, rejected = 0, rows = 0;
};

// The accepted rows; beside them the same name with .rejected.jsonl, .manifest.json and .card.md,
// unless the output is "-".
class TraceOutput {
 public:
  TraceOutput(const std::string& path, OutputFormat format, RunLineage run);
  // The same over several runs: until the end files grow in `folder`, from `mark` on. Error where
  // less is there.
  TraceOutput(const std::string& path, OutputFormat format, RunLineage run,
              const std::string& folder, const OutputMark& mark);

  // Writes the row; an accepted one that was written before turns into one that is not used.
  void write(TraceRow& row);
  // Puts what was written on the disk, of files that grow.
  OutputMark sync();
  // Makes all files appear, the rows last. `final`: no later run goes on from what has grown.
  void commit(const Json& manifest, const std::string& card, bool final);
  const RunLineage& run() const { return run_; }

 private:
  std::string path_;
  OutputFormat format_;
  RunLineage run_;
  RowsFile accepted_;
  std::optional<RowsFile> rejected_;
  std::optional<GrowingFile> ids_;  // of accepted rows: 8 bytes of a hash each
  std::unordered_set<std::uint64_t> written_;
};

}  // namespace reflect
