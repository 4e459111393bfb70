// What a run was and what came of it: the manifest for programs, the data card for people.
#pragma once

#include <string>

#include "recipes/asker.h"
#include "recipes/run_report.h"
#include "recipes/trace_output.h"

namespace reflect {

struct RunFacts {
  const SynthesizeConfig& config;
  const Recipe& recipe;
  const RunLineage& lineage;
  const RunCounts& counts;
  const UsedReplies* replies;  // nullptr where nobody was asked
};

// Equal runs have equal manifests, interrupted or not; keys are in docs/generation.md.
Json manifest_of(const RunFacts& facts);

// Markdown with all that the manifest says, and gaps where only a person knows.
std::string data_card(const Json& manifest);

}  // namespace reflect
