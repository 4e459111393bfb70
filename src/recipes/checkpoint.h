// How far a run has come: what a later run of the same command needs in order to go on behind the
// problems that are finished, without looking at them again.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "recipes/asker.h"
#include "recipes/run_report.h"
#include "recipes/source.h"
#include "recipes/trace_output.h"

namespace reflect {

struct RunCheckpoint {
  std::string command;  // command_hash
  SourceMark source;    // behind the last finished problem
  OutputMark output;
  std::int64_t distinct = 0;  // bytes of DistinctRows
  std::int64_t clean = 0;     // rows that were right at once
  RunCounts counts;
  UsedReplies used;
};

// Nothing where the text is none, or of another version of the program.
std::optional<RunCheckpoint> read_checkpoint(const std::string& text);
std::string text_of(const RunCheckpoint& checkpoint);

// A hash of all that shapes rows: version, recipe, who answers, settings; but for those that only
// say how far a run goes (accept, budget, count) or how it is shown.
std::string command_hash(const SynthesizeConfig& config, const Recipe& recipe,
                         const std::vector<std::string>& identities);

}  // namespace reflect
