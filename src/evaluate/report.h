// What a run found, as JSON and as text.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "evaluate/contamination.h"
#include "evaluate/problems.h"
#include "evaluate/prompt_use.h"
#include "evaluate/summary.h"

namespace reflect {

struct ArmReport {
  ArmConfig config;
  std::string hash;
  PromptUse prompts;
  ArmSummary summary;
};

struct Report {
  EvaluateConfig config;
  std::int64_t problems = 0;
  std::map<std::string, std::int64_t> rejected;  // reason -> rows
  std::optional<Contamination> contamination;
  std::vector<ArmReport> arms;
  std::vector<PairSummary> pairs;
  std::vector<DraftSummary> drafts;
};

Json json_of(const Report& report);
std::string text_of(const Report& report);

}  // namespace reflect
