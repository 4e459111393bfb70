#include "reflect/train/checkpoint.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <set>

#include "reflect/base/error.h"
#include "reflect/base/file.h"

namespace reflect {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kMarker = "state.json";
constexpr std::string_view kPrefix = "step-";

void sync_folder(const fs::path& folder) {
  const int descriptor = open(folder.c_str(), O_RDONLY | O_DIRECTORY);
  if (descriptor < 0) return;  // some file systems do not open folders; the rename still stands
  fsync(descriptor);
  close(descriptor);
}

}  // namespace

Json json_of(const TrainState& state) {
  return {{"step", state.step},
          {"epoch", state.position.epoch},
          {"pack", state.position.pack},
          {"tokens", state.tokens},
          {"trained_tokens", state.trained_tokens},
          {"skipped_steps", state.skipped_steps},
          {"skipped_in_a_row", state.skipped_in_a_row}};
}

TrainState train_state_of(const Json& json) {
  return {.step = json.at("step"),
          .position = {json.at("epoch"), json.at("pack")},
          .tokens = json.at("tokens"),
          .trained_tokens = json.at("trained_tokens"),
          .skipped_steps = json.at("skipped_steps"),
          .skipped_in_a_row = json.at("skipped_in_a_row")};
}

void write_folder_atomic(const std::string& path,
                         const std::function<void(const std::string& folder)>& write) {
  const fs::path target = path, partial = path + ".partial", old = path + ".old";
  fs::remove_all(partial);
  make_folder(partial);
  try {
    write(partial);
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(partial, ignored);
    throw;
  }
  sync_folder(partial);
  if (fs::exists(target)) fs::rename(target, old);
  fs::rename(partial, target);
  sync_folder(target.parent_path());
  fs::remove_all(old);
}

CheckpointStore::CheckpointStore(std::string folder, Keep keep)
    : folder_(std::move(folder)), keep_(keep) {
  make_folder(folder_);
}

std::string CheckpointStore::path_of(std::int64_t step) const {
  return fmt::format("{}/{}{}", folder_, kPrefix, step);
}

std::vector<std::int64_t> CheckpointStore::steps() const {
  std::vector<std::int64_t> found;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(kPrefix) || !fs::exists(entry.path() / kMarker)) continue;
    std::int64_t step = 0;
    const auto [end, error] =
        std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), step);
    if (error == std::errc() && end == name.data() + name.size()) found.push_back(step);
  }
  std::ranges::sort(found);
  return found;
}

std::optional<std::string> CheckpointStore::newest() const {
  const std::vector<std::int64_t> found = steps();
  if (found.empty()) return std::nullopt;
  return path_of(found.back());
}

void CheckpointStore::save(std::int64_t step, const Json& state,
                           const std::function<void(const std::string& folder)>& write) {
  try {
    write_folder_atomic(path_of(step), [&](const std::string& folder) {
      write(folder);
      write_file_atomic(folder + "/" + kMarker, state.dump(2) + "\n");
    });
  } catch (const std::exception& error) {
    fail("checkpoint", "step {} could not be saved: {}; {}", step, error.what(),
         newest() ? "the last good checkpoint is " + *newest() : "there is no checkpoint yet");
  }
  remove_others();
}

void CheckpointStore::remove_others() const {
  const std::vector<std::int64_t> found = steps();
  const auto best = by_loss();
  const auto count = [](std::int64_t keep, std::size_t all) {
    return std::min(static_cast<std::size_t>(keep), all);
  };
  std::set<std::int64_t> kept(found.end() - count(keep_.newest, found.size()), found.end());
  for (std::size_t i = 0; i < count(keep_.best, best.size()); ++i) kept.insert(best[i].second);
  for (const std::int64_t step : found)
    if (!kept.contains(step)) fs::remove_all(path_of(step));
}

std::vector<std::pair<double, std::int64_t>> CheckpointStore::by_loss() const {
  std::vector<std::pair<double, std::int64_t>> found;
  for (const std::int64_t step : steps()) {
    const Json state = Json::parse(read_file(path_of(step) + "/" + kMarker), nullptr, false);
    const auto loss = state.find("heldout_loss");
    if (loss != state.end() && loss->is_number()) found.emplace_back(*loss, step);
  }
  std::ranges::sort(found);
  return found;
}

std::optional<std::string> CheckpointStore::best() const {
  const auto found = by_loss();
  if (found.empty()) return std::nullopt;
  return path_of(found.front().second);
}

bool CheckpointStore::is_among_best(double heldout_loss) const {
  if (!std::isfinite(heldout_loss)) return false;
  const auto better = std::ranges::count_if(
      by_loss(), [&](const auto& saved) { return saved.first <= heldout_loss; });
  return better < keep_.best;
}

void require_same_run(const Json& saved, const Json& now, const std::string& checkpoint) {
  const auto text = [](const Json& run, const std::string& key) {
    return run.contains(key) ? run[key].dump() : "absent";
  };
  for (const Json* run : {&saved, &now})
    for (const auto& [key, value] : run->items())
      if (text(saved, key) != text(now, key))
        fail_usage("train",
                   "{} was made with {} {}, this run has {}; restore the setting or choose another "
                   "--output",
                   checkpoint, key, text(saved, key), text(now, key));
}

}  // namespace reflect
