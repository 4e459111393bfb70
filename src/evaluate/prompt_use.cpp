#include "evaluate/prompt_use.h"

#include <filesystem>

#include "evaluate/answering.h"
#include "reflect/base/hash.h"

namespace reflect {
namespace {

namespace fs = std::filesystem;

std::string hash_of_system_prompt(const std::vector<Message>& messages) {
  for (const Message& message : messages) {
    if (message.role == "system") return content_hash(message.content);
  }
  return "none";
}

// What the folder's training run recorded; a folder that came from elsewhere has no such record.
std::map<std::string, std::int64_t> trained_prompts(const std::string& folder) {
  const fs::path record = fs::weakly_canonical(folder).parent_path() / "run.json";
  if (!fs::exists(record)) return {};
  const Json run = Json::parse(read_file(record.string()), nullptr, /*allow_exceptions=*/false);
  if (!run.is_object() || !run.contains("system_prompt_hashes")) return {};
  return run["system_prompt_hashes"].get<std::map<std::string, std::int64_t>>();
}

}  // namespace

std::string PromptUse::agreement() const {
  if (trained.empty()) return "unknown";
  for (const auto& [hash, problems] : asked) {
    if (!trained.contains(hash)) return "different";
  }
  return "same";
}

PromptUse prompt_use_of(const ArmConfig& arm, const std::vector<Problem>& problems,
                        const EvaluateConfig& config) {
  PromptUse use;
  for (const Problem& problem : problems) {
    ++use.asked[hash_of_system_prompt(messages_of(problem.messages, arm, config))];
  }
  use.trained = trained_prompts(arm.adapter.empty() ? arm.model : arm.adapter);
  return use;
}

}  // namespace reflect
