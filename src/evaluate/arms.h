// The arms of a run, from flags or from the configuration file.
#pragma once

#include <vector>

#include "reflect/evaluate/evaluate.h"

namespace reflect {

// Resolves every arm: names are unique, folders exist, a draft arm has its free arm. Throws Error
// (usage) otherwise.
std::vector<ArmConfig> arms_of(const EvaluateConfig& config);

// "NAME=MODEL[+ADAPTER][:draft|:ban|:bare]".
ArmConfig parse_arm(std::string_view text);

// The arm whose answers a draft arm cuts: the same model, adapter and system prompt, decoded
// freely.
std::size_t free_arm_of(const ArmConfig& draft, const std::vector<ArmConfig>& arms);

// What the messages' system prompt becomes in this arm.
struct SystemPrompt {
  bool as_in_row = false;
  std::string text;  // empty: none; only where not as_in_row
};
SystemPrompt system_prompt_of(const ArmConfig& arm, const EvaluateConfig& config);

// A hash of all that decides an arm's answers to a problem: the checkpoint's and the adapter's
// files (small ones by content, large ones by size and modification time), prompt, sampling, dtype.
std::string arm_hash(const ArmConfig& arm, const EvaluateConfig& config);

}  // namespace reflect
