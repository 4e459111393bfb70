#include "reflect/train/train.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <iostream>

#include "explain.h"
#include "preflight.h"
#include "reflect/base/hash.h"
#include "reflect/train/trainer.h"

namespace reflect {
namespace {

void check(const TrainConfig& config) {
  const auto require = [](bool good, const char* flag, const char* remedy) {
    if (!good) fail_usage("train", "--{} {}", flag, remedy);
  };
  require(!config.model.empty(), "model", "is missing; give the folder of a base checkpoint");
  require(!config.train.empty(), "train", "is missing; give at least one file of rows");
  require(!config.output.empty() || config.explain > 0, "output",
          "is missing; give the folder of the run");
  require(config.gradient_accumulation_steps > 0, "gradient_accumulation_steps",
          "must be at least 1");
  require(config.packing.window > 0, "packing.window", "must be at least 1");
  require(config.max_steps > 0 || config.max_tokens > 0 || config.epochs > 0, "epochs",
          "must be at least 1 where neither max_steps nor max_tokens is given");
  require(config.keep_checkpoints > 0, "keep_checkpoints", "must be at least 1");
  require(config.init == "checkpoint" || config.method == "full", "init",
          "random needs --method full: an adapter on random weights learns nothing");
  require(config.adapter.empty() || config.method == "lora", "adapter", "needs --method lora");
}

std::int64_t max_seq_length_of(const TrainConfig& config, const LlamaConfig& model) {
  const std::int64_t window = model.max_position_embeddings;
  if (config.max_seq_length == 0) return std::min<std::int64_t>(window, 4096);
  if (config.max_seq_length > window)
    fail_usage("train", "--max_seq_length {} is more than the model's window of {}",
               config.max_seq_length, window);
  return config.max_seq_length;
}

BatchPlanOptions plan_options(const TrainConfig& config, std::int64_t max_seq_length) {
  if (config.packing.capacity > 0 && config.packing.capacity < max_seq_length)
    fail_usage("train",
               "--packing.capacity {} is less than max_seq_length {}; a row must fit into a pack",
               config.packing.capacity, max_seq_length);
  return {.capacity = std::max(config.packing.capacity, max_seq_length),
          .window = config.packing.window,
          .shuffle = config.order == "shuffle",
          .seed = static_cast<std::uint64_t>(config.runtime.seed)};
}

// What two runs must share for one to go on from the other's checkpoint: every setting that the
// result depends on, and the contents of data and model rather than their paths.
Json identity_of(TrainConfig config, const TrainingData& data, const Runtime& runtime) {
  static const std::vector<std::string> kFree = {
      "model",   "train",   "output",           "adapter", "save_every",  "keep_checkpoints",
      "explain", "threads", "save_dtype",       "device",  "loss.preset", "log-level",
      "quiet",   "dtype",   "max_skipped_steps"};
  Json identity;
  for (const Field& field : fields_of(config))
    if (std::ranges::find(kFree, field.path) == kFree.end()) identity[field.path] = text_of(field);
  identity["loss.preset"] = data.preset;
  identity["dtype"] = std::string(name_of_dtype(runtime.dtype));
  identity["rows (hash)"] = data.hash;
  identity["config.json (hash)"] = content_hash(read_file(config.model + "/config.json"));
  return identity;
}

void report(const TrainingData& data, const RunLength& length) {
  std::string dropped;
  for (const auto& [reason, count] : data.dropped) dropped += fmt::format(", {} {}", count, reason);
  spdlog::info("{} rows, {} trained on{}; loss preset {}", data.rows, data.examples.size(), dropped,
               data.preset);
  if (data.reflective_rows > 0)
    spdlog::info("{} reflective rows, {} ({:.1f} %) without an error span", data.reflective_rows,
                 data.reflective_without_error,
                 100.0 * static_cast<double>(data.reflective_without_error) /
                     static_cast<double>(data.reflective_rows));
  if (data.system_prompts.size() > 1)
    spdlog::warn("the rows were written for {} different system prompts",
                 data.system_prompts.size());
  spdlog::info("{} steps, {} packs ({:.1f} % filled), {} tokens", length.steps, length.packs,
               100 * length.fill, length.tokens);
}

Json run_record(const Json& identity, const TrainingData& data, TunedModel& model) {
  return {
      {"finished", false},
      {"run", identity},
      {"trained_parameters", model.parameters().count()},
      {"rows", {{"read", data.rows}, {"trained", data.examples.size()}, {"dropped", data.dropped}}},
      {"system_prompt_hashes", data.system_prompts}};
}

TrainerConfig trainer_config(const TrainConfig& config, const RunLength& length, Json identity) {
  return {.output = config.output,
          .length = length,
          .packs_per_step = config.gradient_accumulation_steps,
          .optimizer = config.optimizer,
          .schedule = config.schedule,
          .clip = config.clip,
          .max_skipped_steps = config.max_skipped_steps,
          .save_every = config.save_every,
          .keep_checkpoints = config.keep_checkpoints,
          .seed = static_cast<std::uint64_t>(config.runtime.seed),
          .quiet = config.runtime.quiet,
          .identity = std::move(identity)};
}

// Whether the folder holds the finished result of this very run; Error when it holds another's.
bool already_finished(const TrainConfig& config, const Json& identity) {
  const std::string path = config.output + "/run.json";
  if (!std::filesystem::exists(path)) return false;
  const Json earlier = Json::parse(read_file(path));
  require_same_run(earlier.at("run"), identity, path);
  return earlier.at("finished");
}

void write_result(const TrainConfig& config, const TunedModel& model, const Runtime& runtime) {
  const at::ScalarType dtype = config.save_dtype == "auto"   ? runtime.dtype
                               : config.save_dtype == "bf16" ? at::kBFloat16
                                                             : at::kFloat;
  const std::string folder = config.output + (model.lora() ? "/adapter" : "/model");
  write_folder_atomic(folder, [&](const std::string& path) { model.write(path, dtype); });
  spdlog::info("wrote {}", folder);
}

}  // namespace

ExitCode train(const TrainConfig& config) {
  check(config);
  const Runtime runtime = start_runtime(config.runtime);
  const LlamaConfig llama_config = read_llama_config(config.model);
  const std::int64_t max_seq_length = max_seq_length_of(config, llama_config);
  const BatchPlanOptions plan = plan_options(config, max_seq_length);
  const auto tokenizer = load_tokenizer(config.model);
  const ChatTemplate chat = ChatTemplate::choose(config.chat_template, config.model);
  const TrainingData data = load_training_data({.files = config.train,
                                                .preset = config.loss.preset,
                                                .lora = config.method == "lora",
                                                .max_seq_length = max_seq_length,
                                                .keep_records = config.explain > 0},
                                               chat, *tokenizer);
  check_examples(data.examples, chat, *tokenizer);
  const std::vector<std::int64_t> lengths = data.lengths();
  const std::vector<Batch> first_epoch = packs_of_epoch(lengths, plan, 0);
  if (config.explain > 0) {
    explain(std::cout, {data.records, data.examples, first_epoch, chat, *tokenizer},
            config.explain);
    return ExitCode::kDone;
  }
  const Json identity = identity_of(config, data, runtime);
  if (already_finished(config, identity)) {
    spdlog::info("{} is finished already; nothing to do", config.output);
    return ExitCode::kDone;
  }
  const RunLength length = measure_run(
      lengths, plan,
      {config.epochs, config.max_steps, config.max_tokens, config.gradient_accumulation_steps});
  report(data, length);
  TunedModel model({.folder = config.model,
                    .lora = config.method == "lora",
                    .random = config.init == "random",
                    .lora_config = config.lora,
                    .initial_adapter = config.adapter,
                    .seed = static_cast<std::uint64_t>(config.runtime.seed)},
                   runtime);
  check_packing(model, data.examples, first_epoch.front());
  Json run = run_record(identity, data, model);
  Trainer trainer(trainer_config(config, length, identity), model, data.examples, {lengths, plan});
  if (trainer.resume()) spdlog::info("resumed at step {}", trainer.state().step);
  TrainConfig resolved = config;
  write_file_atomic(config.output + "/config.yaml", to_yaml(fields_of(resolved)));
  write_file_atomic(config.output + "/run.json", run.dump(2) + "\n");
  if (const int signal = trainer.run(); signal != 0) {
    spdlog::info("signal {}: saved at step {}; the same command goes on from there", signal,
                 trainer.state().step);
    return ExitCode::kIncomplete;
  }
  write_result(config, model, runtime);
  run["finished"] = true;
  run["state"] = json_of(trainer.state());
  write_file_atomic(config.output + "/run.json", run.dump(2) + "\n");
  return ExitCode::kDone;
}

}  // namespace reflect
