#include "run_folder.h"

#include <algorithm>
#include <filesystem>

#include "reflect/base/config.h"
#include "reflect/base/file.h"
#include "reflect/base/hash.h"
#include "reflect/base/log.h"

namespace reflect {

TrainConfig resolved(const TrainConfig& config, const TrainingData& data, const Runtime& runtime) {
  TrainConfig result = config;
  result.loss.preset = data.preset;
  result.runtime.dtype = name_of_dtype(runtime.dtype);
  return result;
}

Json identity_of(TrainConfig config, const TrainingData& data, const TrainingData& heldout) {
  static const std::vector<std::string> kFree = {"model",
                                                 "train",
                                                 "output",
                                                 "adapter",
                                                 "data.cache",
                                                 "save_every",
                                                 "keep_checkpoints",
                                                 "keep_best",
                                                 "checkpoint.seconds",
                                                 "checkpoint.async",
                                                 "heldout",
                                                 "heldout.every",
                                                 "heldout.problems",
                                                 "heldout.max_problems",
                                                 "heldout.max_new_tokens",
                                                 "heldout.max_batch_rows",
                                                 "explain",
                                                 "plan",
                                                 "plan.gpu",
                                                 "plan.gpus",
                                                 "plan.nodes",
                                                 "plan.json",
                                                 "device",
                                                 "save_dtype",
                                                 "threads",
                                                 "max_skipped_steps",
                                                 "log-level",
                                                 "launch.nproc",
                                                 "launch.timeout",
                                                 "quiet",
                                                 "placement",
                                                 "hybrid.group",
                                                 "base.cache",
                                                 "tensor_parallel",
                                                 "recompute"};
  Json identity;
  for (const Field& field : fields_of(config))
    if (std::ranges::find(kFree, field.path) == kFree.end()) identity[field.path] = text_of(field);
  identity["hash of rows"] = data.hash;
  if (!heldout.examples.empty()) identity["hash of held-out rows"] = heldout.hash;
  identity["hash of config.json"] = content_hash(read_file(config.model + "/config.json"));
  if (!config.adapter.empty())
    identity["hash of adapter"] =
        content_hash(read_file(config.adapter + "/adapter_model.safetensors"));
  return identity;
}

RunFolder::RunFolder(TrainConfig config, const RunRows& rows, Json identity, ProcessGroup group)
    : config_(std::move(config)),
      record_path_(config_.output + "/run.json"),
      group_(std::move(group)) {
  const TrainingData& data = rows.trained;
  record_ = {
      {"finished", false},
      {"run", std::move(identity)},
      {"rows", {{"read", data.rows}, {"trained", data.examples.size()}, {"dropped", data.dropped}}},
      {"system_prompt_hashes", data.system_prompts}};
  if (rows.heldout.rows > 0)
    record_["heldout_rows"] = {{"read", rows.heldout.rows},
                               {"measured", rows.heldout.examples.size()},
                               {"dropped", rows.heldout.dropped}};
}

bool RunFolder::finished() {
  return !group_.from_rank_0([this] { return holds_finished_run() ? "yes" : ""; }).empty();
}

bool RunFolder::holds_finished_run() const {
  namespace fs = std::filesystem;
  if (!fs::exists(record_path_)) {
    for (const char* name : {"adapter", "model", "metrics.jsonl"})
      if (fs::exists(config_.output + "/" + name))
        fail_usage("train",
                   "{} holds {} but no run.json, so it is no run of this tool; give "
                   "another --output",
                   config_.output, name);
    return false;
  }
  const Json earlier = parsed_record();
  if (!earlier["finished"].get<bool>()) return false;
  require_same_run(earlier["run"], record_["run"], config_.output);
  if (fs::is_directory(product_folder())) return true;
  log_warn("{} is missing and is made again", product_folder());
  return false;
}

Json RunFolder::parsed_record() const {
  Json record = Json::parse(read_file(record_path_), nullptr, /*allow_exceptions=*/false);
  const auto holds = [&](const char* name, Json::value_t type) {
    return record.is_object() && record.contains(name) && record[name].type() == type;
  };
  if (!holds("finished", Json::value_t::boolean) || !holds("run", Json::value_t::object))
    fail("train",
         "{} is damaged or not of this tool; delete it to go on from the checkpoints, or "
         "give another --output",
         record_path_);
  return record;
}

std::string RunFolder::product_folder() const {
  return config_.output + (config_.method == "lora" ? "/adapter" : "/model");
}

void RunFolder::begin(TunedModel& model) {
  if (group_.rank() != 0) return;
  record_["trained_parameters"] = model.parameters().count();
  write_file_atomic(config_.output + "/config.yaml", to_yaml(fields_of(config_)));
  write_record();
}

void RunFolder::finish(const TunedModel& model, std::span<const TagToken> tags,
                       const TrainState& state, at::ScalarType dtype) {
  if (group_.rank() != 0) return;
  const std::string folder = product_folder();
  write_folder_atomic(folder, [&](const std::string& path) {
    model.write(path, dtype);
    if (!tags.empty()) write_tag_tokens(path, {tags.begin(), tags.end()});
  });
  record_["finished"] = true;
  record_["state"] = json_of(state);
  write_record();
  log_info("wrote {}", folder);
}

void RunFolder::write_record() const {
  write_file_atomic(record_path_, record_.dump(2) + "\n");
}

}  // namespace reflect
