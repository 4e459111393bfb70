#include "reflect/train/train.h"

#include <algorithm>
#include <filesystem>
#include <iostream>

#include "check_config.h"
#include "explain.h"
#include "limits.h"
#include "preflight.h"
#include "rank_log.h"
#include "reflect/base/hash.h"
#include "reflect/base/log.h"
#include "reflect/dist/gpu.h"
#include "reflect/dist/process_group.h"
#include "reflect/model/tensor_parallel.h"
#include "reflect/train/trainer.h"
#include "run_folder.h"
#include "show_plan.h"
#include "trained_tokens.h"

namespace reflect {
namespace {

// All ranks have read and tokenized the rows before they meet: nobody waits for that in a group.
ProcessGroup meet(const TrainConfig& config, const LaunchEnvironment& place, const Runtime& runtime,
                  const Json& identity) {
  const std::int64_t packs = config.gradient_accumulation_steps;
  const std::int64_t sharers = place.world_size / config.tensor_parallel;
  if (place.rank == 0 && packs % sharers != 0)
    log_warn(
        "{} {} share {} packs a step, so some are idle for a part of it; let "
        "gradient_accumulation_steps be a multiple of their number",
        sharers, config.tensor_parallel == 1 ? "processes" : "groups of processes", packs);
  ProcessGroup group(
      place, {.timeout = std::chrono::seconds(config.launch.timeout), .device = runtime.device});
  PlacementConfig placement = config.placement;
  NamedTexts settings = texts_of(fields_of(placement));
  for (const auto& [name, value] : identity.items()) settings.emplace_back(name, value);
  settings.emplace_back("tensor_parallel", std::to_string(config.tensor_parallel));
  group.require_same(settings);
  return group;
}

enum class PlanOf { kTrained, kHeldout };

PackPlan plan_of(const TrainConfig& config, const TrainingData& data, PlanOf use) {
  const bool trained = use == PlanOf::kTrained;
  const std::int64_t rows_per_item = rows_of_item(config), capacity = pack_capacity_of(config);
  PackPlan plan(data.lengths(),
                {.capacity = capacity,
                 .window = config.packing.window,
                 .rows_per_item = rows_per_item,
                 .shuffle = trained && config.order != "input",
                 .mix = trained ? mix_shares(config) : std::vector<double>(),
                 .seed = static_cast<std::uint64_t>(config.runtime.seed)},
                data.traits);
  if (capacity < plan.longest())
    fail_usage("train",
               "--packing.capacity {} is less than the longest {}'s {} tokens; raise it "
               "or lower --max_seq_length",
               capacity, rows_per_item == 2 ? "pair" : "row", plan.longest());
  return plan;
}

// Where tokenized rows are kept; empty: nowhere. Runs that lie beside each other share them.
std::string cache_folder_of(const TrainConfig& config) {
  const std::string& folder = config.data.cache;
  if (folder != "auto") return folder == "none" ? "" : folder;
  if (config.output.empty()) return "";
  const auto output = std::filesystem::absolute(config.output + "/.").lexically_normal();
  return (output.parent_path().parent_path() / ".tokenized").string();
}

TrainingDataOptions data_options(const TrainConfig& config) {
  return {.files = config.train,
          .preset = config.loss.preset,
          .lora = config.method == "lora",
          .max_seq_length = max_seq_length_of(config),
          .kind = config.loss.kind,
          .by_file = !config.mix.empty(),
          .weight_by = config.weight_by,
          .curriculum_by = config.curriculum_by,
          .cache = cache_folder_of(config),
          .tokenizer = config.model};
}

// With the weights of the rows that are trained on. No rows where no file is given.
TrainingData read_heldout(const TrainConfig& config, const TrainingData& trained,
                          const ChatTemplate& chat, const Tokenizer& tokenizer) {
  if (config.heldout.empty()) return {};
  return load_training_data({.files = config.heldout,
                             .preset = trained.preset,
                             .max_seq_length = max_seq_length_of(config),
                             .kind = config.loss.kind,
                             .heldout = true,
                             .cache = cache_folder_of(config),
                             .tokenizer = config.model},
                            chat, tokenizer);
}

void warn_of_malformed(const TrainingData& data) {
  for (const std::string& rows : data.malformed) log_warn("{}", rows);
}

void warn_of_heldout(const TrainingData& heldout, const TrainingData& trained) {
  warn_of_malformed(heldout);
  if (const std::int64_t shared = count_shared(heldout.examples, trained.examples); shared > 0)
    log_warn("{} of {} held-out rows are trained on, too; their loss says nothing of new rows",
             shared, heldout.examples.size());
}

TunedModelOptions model_options(const TrainConfig& config, const ProcessGroup& group) {
  return {
      .folder = config.model,
      .lora = config.method == "lora",
      .random = config.init == "random",
      .lora_config = config.lora,
      .initial_adapter = config.adapter,
      .seed = static_cast<std::uint64_t>(config.runtime.seed),
      .recompute = recompute_named(config.recompute),
      .base = config.base,
      .placement = {
          .config = config.placement, .group = group, .tensor_parallel = config.tensor_parallel}};
}

TrainerConfig trainer_config(const TrainConfig& config, const RunLength& length, double peak_flops,
                             Json identity) {
  OptimizerConfig optimizer = config.optimizer;
  optimizer.lora_plus_ratio = config.lora.plus_ratio;
  return {.output = config.output,
          .length = length,
          .packs_per_step = config.gradient_accumulation_steps,
          .optimizer = optimizer,
          .schedule = config.schedule,
          .preference = config.loss.kind == "dpo" ? std::optional(config.loss.dpo) : std::nullopt,
          .clip = config.clip,
          .max_skipped_steps = config.max_skipped_steps,
          .save_every = config.save_every,
          .save_seconds = config.checkpoint.seconds,
          .save_behind = config.checkpoint.async,
          .keep_checkpoints = config.keep_checkpoints,
          .keep_best = config.keep_best,
          .heldout_every = config.heldout_every,
          .seed = static_cast<std::uint64_t>(config.runtime.seed),
          .peak_flops = peak_flops,
          .quiet = config.runtime.quiet,
          .identity = std::move(identity)};
}

at::ScalarType saved_dtype(const TrainConfig& config, const Runtime& runtime) {
  if (config.save_dtype == "auto") return runtime.dtype;
  return config.save_dtype == "bf16" ? at::kBFloat16 : at::kFloat;
}

std::string dropped_text(const TrainingData& data) {
  std::string text;
  for (const auto& [reason, count] : data.dropped) text += fmt::format(", {} {}", count, reason);
  return text;
}

void report(const TrainingData& data, const TrainingData& heldout, const PackPlan& plan,
            const RunLength& length) {
  log_info("{} rows, {} trained on{}; loss preset {}", data.rows, data.examples.size(),
           dropped_text(data), data.preset);
  if (heldout.rows > 0)
    log_info("{} rows held out, {} measured{}", heldout.rows, heldout.examples.size(),
             dropped_text(heldout));
  const auto& quotas = plan.order().quotas();
  for (std::size_t file = 0; file < quotas.size() && quotas.size() > 1; ++file)
    log_info("mix: {} rows an epoch of file {} of --train", quotas[file], file + 1);
  if (data.reflective_rows > 0)
    log_info("{} reflective rows, {} without an error span", data.reflective_rows,
             data.reflective_without_error);
  if (data.system_prompts.size() > 1)
    log_warn("the rows have {} different system prompts", data.system_prompts.size());
  if (data.other_system_prompt > 0)
    log_warn("{} rows have another system prompt than the one that their recipe wrote",
             data.other_system_prompt);
  log_info("{} steps, {} tokens in {} packs, {:.1f} % filled", length.steps, length.tokens,
           length.packs,
           100.0 * static_cast<double>(length.tokens) /
               static_cast<double>(length.packs * plan.options().capacity));
}

// The plan of the longest of `packs`, on this machine.
void report_expected_memory(const TrainConfig& config, const Runtime& runtime,
                            const std::vector<Batch>& packs, const LaunchEnvironment& place) {
  RunShape run = run_shape_of(config, runtime.dtype);
  const auto longest = std::ranges::max(packs, {}, [](const Batch& pack) { return pack.tokens(); });
  run.pack_tokens = run.trained_tokens = longest.tokens();
  Machine machine;
  machine.is_cpu = runtime.device.is_cpu();
  machine.ranks_of_node = std::max(1, place.local_world_size);
  machine.nodes = place.world_size / machine.ranks_of_node;
  log_info("{}", memory_summary(plan_run(run, machine)));
}

ExitCode train_as(const LaunchEnvironment& place, TrainConfig config,
                  const ReadProblems& read_problems) {
  if (config.plan.show) return show_plan(config, place);
  if (config.tensor_parallel > 1)  // told before any row is read
    require_slices(read_llama_config(config.model), config.base.storage, config.tensor_parallel,
                   place.local_world_size);
  Runtime runtime = start_runtime(config.runtime);
  if (runtime.device.is_cuda()) runtime.device = use_gpu(place.local_rank);
  const auto tokenizer = tokenizer_of(config);
  const ChatTemplate chat = ChatTemplate::choose(config.chat_template, config.model);
  const TrainingDataOptions options = data_options(config);
  const TrainingData data = load_training_data(options, chat, *tokenizer);
  if (place.rank == 0) warn_of_malformed(data);
  if (place.rank == 0 && config.method == "full" && !is_standard(config.lora))
    log_warn("lora.* does nothing with --method full");
  const PackPlan plan = plan_of(config, data, PlanOf::kTrained);
  if (config.explain > 0) {
    if (place.rank == 0)
      explain(std::cout, {options, data.examples, plan.epoch(0), chat, *tokenizer}, config.explain);
    return ExitCode::kDone;
  }
  TrainingData heldout = read_heldout(config, data, chat, *tokenizer);
  if (place.rank == 0) warn_of_heldout(heldout, data);
  const SolveProblems solve =
      config.heldout_problems.problems.empty() ? nullptr : read_problems(config.heldout_problems);
  const TrainConfig settled = resolved(config, data, runtime);
  const Json identity = identity_of(settled, data, heldout);
  ProcessGroup group = meet(config, place, runtime, identity);
  RunFolder folder(settled, {data, heldout}, identity, group);
  if (folder.finished()) {
    log_info("{} is finished already", config.output);
    return ExitCode::kDone;
  }
  keep_rank_log(config.output, place);
  const RunLength length = measure_run(plan, {config.epochs, config.max_steps, config.max_tokens,
                                              config.gradient_accumulation_steps});
  report(data, heldout, plan, length);
  const std::vector<Batch> first_epoch = plan.epoch(0);
  report_expected_memory(settled, runtime, first_epoch, place);
  TunedModel model(model_options(config, group), runtime);
  check_packing(model, data.examples, first_epoch.front());
  double peak = peak_flops(runtime);
  sum_over_ranks(group, {&peak}, {});
  Trainer trainer(trainer_config(config, length, peak, identity), model, data.examples,
                  PackStream(plan), group);
  if (!heldout.examples.empty()) {
    const PackPlan packs = plan_of(config, heldout, PlanOf::kHeldout);
    trainer.set_heldout({std::move(heldout.examples), packs.epoch(0)});
  }
  if (solve)
    trainer.set_problems([&] {
      const Adapter* adapter = model.forward_options().adapter;
      return solve({model.llama(), adapter, *tokenizer, chat, group});
    });
  if (trainer.resume()) log_info("resumed at step {}", trainer.state().step);
  folder.begin(model);
  keep_memory_of_steps();
  if (const int signal = trainer.run(); signal != 0) {
    log_info("signal {}: saved at step {}; the same command goes on from there", signal,
             trainer.state().step);
    return ExitCode::kIncomplete;
  }
  folder.finish(model, tokenizer->tag_tokens(), trainer.state(), saved_dtype(config, runtime));
  return ExitCode::kDone;
}

}  // namespace

ExitCode train(const TrainConfig& config, const ReadProblems& read_problems) {
  check_config(config);
  try {
    return train_as(launch_environment(), config, read_problems);
  } catch (const std::exception& error) {
    log_debug("ended by: {}", error.what());  // for the file of a rank
    throw;
  }
}

}  // namespace reflect
