#include "evaluate/arms.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "reflect/base/config.h"
#include "reflect/base/file.h"
#include "reflect/base/hash.h"

namespace reflect {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kArmsOp = "arms";
constexpr std::string_view kInherit = "inherit";
constexpr std::uintmax_t kSmallFile = 1 << 20;

std::vector<ArmConfig> arms_of_model(const EvaluateConfig& config) {
  if (config.model.empty())
    fail_usage(kArmsOp, "no model; give --model DIR or --arms NAME=DIR,...");
  ArmConfig base;
  base.name = config.adapter.empty() ? "model" : "base";
  base.model = config.model;
  std::vector<ArmConfig> arms = {base};
  if (!config.adapter.empty()) {
    arms.push_back(base);
    arms.back().name = "tuned";
    arms.back().adapter = config.adapter;
  }
  const ArmConfig last = arms.back();
  if (config.draft) {
    arms.push_back(last);
    arms.back().name = "draft";
    arms.back().draft = true;
  }
  if (config.ban_reflection) {
    arms.push_back(last);
    arms.back().name = "banned";
    arms.back().ban_reflection = true;
  }
  return arms;
}

void check_arms(const std::vector<ArmConfig>& arms) {
  std::set<std::string> names;
  for (const ArmConfig& arm : arms) {
    if (arm.name.empty()) fail_usage(kArmsOp, "an arm of model \"{}\" has no name", arm.model);
    if (!names.insert(arm.name).second) fail_usage(kArmsOp, "two arms are named \"{}\"", arm.name);
    if (arm.draft && arm.ban_reflection) {
      fail_usage(kArmsOp, "arm \"{}\" is both draft and ban; choose one", arm.name);
    }
    if (!fs::exists(arm.model + "/config.json")) {
      fail_usage(kArmsOp, "arm \"{}\": \"{}\" has no config.json; give a checkpoint folder",
                 arm.name, arm.model);
    }
    if (!arm.adapter.empty() && !fs::exists(arm.adapter + "/adapter_config.json")) {
      fail_usage(kArmsOp,
                 "arm \"{}\": \"{}\" has no adapter_config.json; give a PEFT adapter folder",
                 arm.name, arm.adapter);
    }
    if (arm.draft) free_arm_of(arm, arms);
  }
}

// Name and identity of each file of a folder, in the order of the names.
nlohmann::ordered_json files_of(const std::string& folder) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string extension = entry.path().extension();
    if (extension == ".json" || extension == ".jinja" || extension == ".model" ||
        extension == ".safetensors") {
      paths.push_back(entry.path());
    }
  }
  std::sort(paths.begin(), paths.end());
  nlohmann::ordered_json files;
  for (const fs::path& path : paths) {
    const std::uintmax_t size = fs::file_size(path);
    files[path.filename().string()] =
        size < kSmallFile ? content_hash(read_file(path.string()))
                          : fmt::format("{} bytes of {}", size,
                                        fs::last_write_time(path).time_since_epoch().count());
  }
  return files;
}

}  // namespace

ArmConfig parse_arm(std::string_view text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0 || equals + 1 == text.size()) {
    fail_usage(kArmsOp, "\"{}\" is not NAME=MODEL[+ADAPTER][:draft|:ban|:bare]", text);
  }
  ArmConfig arm;
  arm.name = text.substr(0, equals);
  std::string_view rest = text.substr(equals + 1);
  const std::size_t colon = rest.find(':');
  std::string_view suffixes = colon == std::string_view::npos ? "" : rest.substr(colon + 1);
  rest = rest.substr(0, colon);
  while (!suffixes.empty()) {
    const std::size_t end = suffixes.find(':');
    const std::string_view suffix = suffixes.substr(0, end);
    suffixes = end == std::string_view::npos ? "" : suffixes.substr(end + 1);
    if (suffix == "draft") {
      arm.draft = true;
    } else if (suffix == "ban") {
      arm.ban_reflection = true;
    } else if (suffix == "bare") {
      arm.system_prompt.clear();
    } else {
      fail_usage(kArmsOp, "arm \"{}\": unknown suffix \":{}\"; known are :draft, :ban and :bare",
                 arm.name, suffix);
    }
  }
  const std::size_t plus = rest.find('+');
  arm.model = rest.substr(0, plus);
  if (plus != std::string_view::npos) arm.adapter = rest.substr(plus + 1);
  return arm;
}

std::vector<ArmConfig> arms_of(const EvaluateConfig& config) {
  std::vector<ArmConfig> arms;
  if (config.arms.empty() && config.custom_arms.empty()) {
    arms = arms_of_model(config);
  } else if (!config.model.empty() || !config.adapter.empty() || config.draft ||
             config.ban_reflection) {
    fail_usage(kArmsOp,
               "arms are given twice: by --arms (or custom-arms) and by --model, --adapter, "
               "--draft or --ban-reflection; use one form");
  }
  for (const std::string& text : config.arms) arms.push_back(parse_arm(text));
  arms.insert(arms.end(), config.custom_arms.begin(), config.custom_arms.end());
  check_arms(arms);
  return arms;
}

std::size_t free_arm_of(const ArmConfig& draft, const std::vector<ArmConfig>& arms) {
  for (std::size_t i = 0; i < arms.size(); ++i) {
    ArmConfig same = arms[i];
    same.name = draft.name;
    same.draft = true;
    if (!arms[i].draft && !arms[i].ban_reflection && same == draft) return i;
  }
  fail_usage(kArmsOp,
             "draft arm \"{}\" needs an arm with the same model, adapter and system prompt that "
             "answers freely; add one",
             draft.name);
}

SystemPrompt system_prompt_of(const ArmConfig& arm, const EvaluateConfig& config) {
  if (arm.system_prompt != kInherit) return {.as_in_row = false, .text = arm.system_prompt};
  return {.as_in_row = config.system_prompt.empty(), .text = config.system_prompt};
}

std::string arm_hash(const ArmConfig& arm, const EvaluateConfig& config) {
  const SystemPrompt prompt = system_prompt_of(arm, config);
  SamplingConfig sampling = config.sampling;
  nlohmann::ordered_json identity = {
      {"model", files_of(arm.model)},
      {"adapter", arm.adapter.empty() ? nlohmann::ordered_json() : files_of(arm.adapter)},
      {"as_in_row", prompt.as_in_row},
      {"system_prompt", prompt.text},
      {"draft", arm.draft},
      {"banned", arm.ban_reflection ? config.ban_text : std::vector<std::string>()},
      {"template", config.template_name},
      {"dtype", config.runtime.dtype},
      {"storage", config.base.storage},
      {"seed", sampling.temperature > 0 ? config.runtime.seed : 0},
  };
  for (const Field& field : fields_of(sampling)) identity["sampling"][field.path] = text_of(field);
  return content_hash(identity.dump());
}

}  // namespace reflect
