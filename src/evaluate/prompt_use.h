// Which system prompts an arm is asked with, and which its model was trained with.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "evaluate/problems.h"
#include "reflect/evaluate/evaluate.h"

namespace reflect {

// System prompts by content hash ("none": no prompt).
struct PromptUse {
  std::map<std::string, std::int64_t> asked;    // problems
  std::map<std::string, std::int64_t> trained;  // training rows; empty: not recorded

  // "same" when training had every prompt that is asked with, else "different"; "unknown" where
  // training recorded nothing.
  std::string agreement() const;
};

// Reads run.json of reflect-train beside the adapter's folder, or without one the model's.
PromptUse prompt_use_of(const ArmConfig& arm, const std::vector<Problem>& problems,
                        const EvaluateConfig& config);

}  // namespace reflect
