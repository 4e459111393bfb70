// Accepted rows as records, and the files that a run writes.
#pragma once

#include <optional>
#include <set>

#include "recipes/task.h"
#include "reflect/base/file.h"
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

// The accepted rows; beside them the same name with .rejected.jsonl and .manifest.json, unless the
// output is "-".
class TraceOutput {
 public:
  TraceOutput(const std::string& path, RunLineage run);

  // Writes the row; an accepted one that was written before turns into one that is not used.
  void write(TraceRow& row);
  void commit(Json manifest);
  const RunLineage& run() const { return run_; }

 private:
  std::string path_;
  RunLineage run_;
  AtomicWriter accepted_;
  std::optional<AtomicWriter> rejected_;
  std::set<std::string> written_;
};

}  // namespace reflect
