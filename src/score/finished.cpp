#include "score/finished.h"

#include <filesystem>
#include <set>

#include "reflect/base/config.h"
#include "reflect/base/digest.h"
#include "reflect/base/folder_state.h"
#include "reflect/base/hash.h"

namespace reflect {

namespace {

// Settings that the scores themselves do not depend on.
bool leaves_scores(const std::string& path) {
  static const std::set<std::string> kNames = {
      "output",    "selected", "report", "decontaminate", "decontaminate-ratio", "random-control",
      "seed",      "threads",  "quiet",  "log-level",     "tokenizer-threads",   "placement",
      "base.cache"};
  const auto is_in = [&](const char* group) { return path.starts_with(group); };
  return kNames.contains(path) || is_in("selection.") || is_in("launch.") || is_in("hybrid.");
}

}  // namespace

std::string score_key(const ScoreConfig& config) {
  std::error_code error;
  const auto is_folder = [&](const std::string& path) {
    return std::filesystem::is_directory(path, error);
  };
  if (!std::filesystem::is_regular_file(config.input, error) || !is_folder(config.model)) return "";
  for (const std::string& folder : {config.adapter, config.prefilter.model})
    if (!folder.empty() && !is_folder(folder)) return "";
  std::string text = std::string(REFLECT_VERSION) + "\n" + folder_state(config.model) + "\n";
  for (const std::string& folder : {config.adapter, config.prefilter.model})
    if (!folder.empty()) text += folder_state(folder) + "\n";
  text += digest_of_file(config.input).hex() + "\n";
  ScoreConfig copy = config;
  for (const Field& field : fields_of(copy))
    if (!leaves_scores(field.path)) text += fmt::format("{}={}\n", field.path, text_of(field));
  return content_hash(text);
}

std::optional<Json> finished_meta(const ScoreConfig& config, const std::string& key) {
  const std::string path = config.output + ".meta.json";
  if (key.empty() || !std::filesystem::exists(config.output) || !std::filesystem::exists(path))
    return std::nullopt;
  Json meta = Json::parse(read_file(path), nullptr, false);
  if (!meta.is_object() || !meta.contains("score_key") || meta["score_key"] != key)
    return std::nullopt;
  return meta;
}

}  // namespace reflect
