// Generates the answers of all arms, one model in memory at a time.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "evaluate/answer_store.h"
#include "evaluate/problems.h"
#include "reflect/evaluate/evaluate.h"
#include "reflect/generate/chat_model.h"

namespace reflect {

// An arm with the hash that its answers are kept under.
struct HashedArm {
  ArmConfig arm;
  std::string hash;
};

// Adds to the store what it lacks of every arm, problem and sample, together with the ranks that
// call help_answer with the same arms.
void answer_all(const EvaluateConfig& config, const std::vector<HashedArm>& arms,
                const std::vector<Problem>& problems, const Placement& placement,
                AnswerStore& store);
void help_answer(const EvaluateConfig& config, const std::vector<HashedArm>& arms,
                 const Placement& placement);

// The messages as an arm sends them: with its system prompt.
std::vector<Message> messages_of(const std::vector<Message>& messages, const ArmConfig& arm,
                                 const EvaluateConfig& config);

// The request that puts these messages to an arm that answers freely.
GenerateRequest request_of(const ChatModel& model, const ArmConfig& arm,
                           const std::vector<Message>& messages, const EvaluateConfig& config);

// What a text would have been without noticing: everything before the first reflection, the
// thinking closed and <output> opened. Nothing when no reflection stands in the thinking.
std::optional<std::string> forced_draft(const std::string& response);

}  // namespace reflect
