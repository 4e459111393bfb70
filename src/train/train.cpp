#include "reflect/train/train.h"

#include <algorithm>
#include <filesystem>
#include <iostream>

#include "explain.h"
#include "limits.h"
#include "preflight.h"
#include "rank_log.h"
#include "reflect/base/config.h"
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

// Whether a group of settings is as it is by default.
template <class Config>
bool is_standard(Config config) {
  Config standard;
  return to_yaml(fields_of(config)) == to_yaml(fields_of(standard));
}

// Whether nothing is set that an adapter brings itself.
bool has_no_shape(LoraConfig config) {
  config.plus_ratio = LoraConfig().plus_ratio;
  return is_standard(config);
}

bool is_decay(double share) {
  return share >= 0 && share < 1;
}

// The numbers of --mix.
std::vector<double> mix_shares(const TrainConfig& config) {
  std::vector<double> shares;
  for (const std::string& text : config.mix) {
    double share = 0;
    Field field{"mix", "", &share, {}};
    set_from_text(field, text, "--mix");
    if (share < 0) fail_usage("train", "--mix {}: a share must not be negative", text);
    shares.push_back(share);
  }
  return shares;
}

void check_order(const TrainConfig& config) {
  const std::vector<double> shares = mix_shares(config);
  const bool draws = !shares.empty() || !config.weight_by.empty();
  if (!shares.empty() && shares.size() != config.train.size() && !config.plan.show)
    fail_usage("train", "--mix has {} shares for {} files of --train; give one each", shares.size(),
               config.train.size());
  if (!shares.empty() && std::ranges::max(shares) == 0)
    fail_usage("train", "--mix is 0 for every file; give one a share above 0");
  if (draws && config.order == "input")
    fail_usage("train",
               "--order input keeps every row; --mix and --weight_by need shuffle or "
               "curriculum");
  if ((config.order == "curriculum") == config.curriculum_by.empty())
    fail_usage("train", "--order curriculum and --curriculum_by need each other");
}

// Settings that would change nothing are refused, so that nobody thinks that they did something.
// (lora.* with --method full is a warning: one file may serve both methods.)
void check_effect(const TrainConfig& config) {
  const auto refuse = [](bool useless, const char* flag, const char* remedy) {
    if (useless) fail_usage("train", "--{} would do nothing: {}", flag, remedy);
  };
  refuse(config.placement.hybrid.group != 0 && config.placement.placement != "hybrid",
         "hybrid.group", "it is for --placement hybrid");
  refuse(config.loss.kind != "dpo" && !is_standard(config.loss.dpo), "loss.dpo.*",
         "it is for --loss.kind dpo");
  refuse(config.method == "lora" && config.save_dtype != "auto", "save_dtype",
         "it is for --method full; an adapter is written in fp32");
  refuse(config.plan.json && !config.plan.show, "plan.json", "it is for --plan");
  refuse((config.plan.gpu != "here" || config.plan.gpus != 0 || config.plan.nodes != 1) &&
             !config.plan.show,
         "plan.*", "it describes the machine of --plan");
  refuse(config.schedule.type == "constant" && config.schedule.min_lr_ratio != 0,
         "schedule.min_lr_ratio", "a constant rate does not fall");
}

void check(const TrainConfig& config) {
  const auto require = [](bool good, const char* flag, const char* remedy) {
    if (!good) fail_usage("train", "--{} {}", flag, remedy);
  };
  require(!config.model.empty(), "model", "is missing; give the folder of a base checkpoint");
  require(!config.train.empty() || config.plan.show, "train",
          "is missing; give at least one file of rows");
  require(!config.output.empty() || config.explain > 0 || config.plan.show, "output",
          "is missing; give the folder of the run");
  require(config.gradient_accumulation_steps > 0, "gradient_accumulation_steps",
          "must be at least 1");
  require(config.max_seq_length >= 0, "max_seq_length", "must not be negative");
  require(config.max_steps >= 0, "max_steps", "must not be negative; 0 leaves it to epochs");
  require(config.max_tokens >= 0, "max_tokens", "must not be negative; 0 leaves it to epochs");
  require(config.plan.gpus >= 0, "plan.gpus", "must not be negative; 0: those of this job");
  require(config.plan.nodes > 0, "plan.nodes", "must be at least 1");
  require(config.explain >= 0, "explain", "must not be negative; 0 trains");
  require(config.save_every >= 0, "save_every", "must not be negative; 0 saves at signals only");
  require(config.clip >= 0, "clip", "must not be negative; 0 clips nothing");
  require(config.optimizer.lr > 0, "optimizer.lr", "must be above 0");
  require(config.optimizer.eps > 0, "optimizer.eps", "must be above 0");
  require(is_decay(config.optimizer.beta1), "optimizer.beta1", "must be from 0 to below 1");
  require(is_decay(config.optimizer.beta2), "optimizer.beta2", "must be from 0 to below 1");
  require(config.optimizer.weight_decay >= 0, "optimizer.weight_decay", "must not be negative");
  require(config.schedule.warmup_ratio >= 0 && config.schedule.warmup_ratio <= 1,
          "schedule.warmup_ratio", "must be from 0 to 1");
  require(config.schedule.warmup_steps >= 0, "schedule.warmup_steps", "must not be negative");
  require(config.schedule.min_lr_ratio >= 0 && config.schedule.min_lr_ratio <= 1,
          "schedule.min_lr_ratio", "must be from 0 to 1");
  require(config.lora.rank > 0, "lora.rank", "must be at least 1");
  require(config.lora.alpha > 0, "lora.alpha", "must be above 0");
  require(is_decay(config.lora.dropout), "lora.dropout", "must be from 0 to below 1");
  require(config.packing.window > 0, "packing.window", "must be at least 1");
  require(config.max_steps > 0 || config.max_tokens > 0 || config.epochs > 0, "epochs",
          "must be at least 1 where neither max_steps nor max_tokens is given");
  require(config.launch.timeout > 0, "launch.timeout", "must be at least 1 second");
  require(config.max_skipped_steps > 0, "max_skipped_steps", "must be at least 1");
  require(config.keep_checkpoints > 0, "keep_checkpoints", "must be at least 1");
  check_order(config);
  require(config.checkpoint.seconds >= 0, "checkpoint.seconds", "must not be negative");
  require(config.keep_best >= 0, "keep_best", "must not be negative");
  require(config.keep_best == 0 || !config.heldout.empty(), "keep_best",
          "needs --heldout: the best are told by the loss of held-out rows");
  require(config.heldout_every >= 0, "heldout.every", "must not be negative");
  require(config.init == "checkpoint" || config.method == "full", "init",
          "random needs --method full: random weights stay random under an adapter");
  require(config.base.storage == "dtype" || config.method == "lora", "base.storage",
          "is for a frozen base; it needs --method lora");
  const bool keeps_no_weights = config.recompute != "none" && config.recompute != "selective";
  require(config.base.storage == "dtype" || keeps_no_weights, "recompute",
          "none and selective keep all weights for the backward pass, which undoes --base.storage; "
          "use block");
  const bool replicates = config.placement.placement == "replicate";
  require(replicates || config.method == "lora", "placement",
          "other than replicate is for a frozen base; it needs --method lora");
  require(
      replicates || keeps_no_weights, "recompute",
      "none and selective keep all weights for the backward pass, which undoes --placement; use "
      "block");
  require(config.placement.hybrid.group >= 0, "hybrid.group", "must not be negative");
  const bool whole = config.tensor_parallel == 1;
  require(config.tensor_parallel >= 1, "tensor_parallel", "must be at least 1; 1 cuts nothing");
  require(whole || config.method == "lora", "tensor_parallel",
          "cuts a frozen base; it needs --method lora");
  require(whole || replicates, "tensor_parallel",
          "lays the base in slices itself; it needs --placement replicate");
  require(config.loss.kind == "sft" || config.method == "lora", "loss.kind",
          "dpo needs --method lora: its reference is the model without the adapter");
  require(config.loss.kind == "sft" || config.loss.preset == "auto" || config.loss.preset == "all",
          "loss.preset", "is all with --loss.kind dpo: every token of a response counts");
  require(config.loss.dpo.beta > 0, "loss.dpo.beta", "must be above 0");
  require(config.loss.dpo.sft_weight >= 0, "loss.dpo.sft_weight", "must not be negative");
  require(config.lora.plus_ratio > 0, "lora.plus_ratio", "must be above 0");
  require(config.adapter.empty() || config.method == "lora", "adapter", "needs --method lora");
  require(config.adapter.empty() || has_no_shape(config.lora), "lora.*",
          "(but plus_ratio) cannot be set beside --adapter, which brings its own shape");
  check_effect(config);
}

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

ExitCode train_as(const LaunchEnvironment& place, TrainConfig config) {
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
  if (trainer.resume()) log_info("resumed at step {}", trainer.state().step);
  folder.begin(model);
  if (const int signal = trainer.run(); signal != 0) {
    log_info("signal {}: saved at step {}; the same command goes on from there", signal,
             trainer.state().step);
    return ExitCode::kIncomplete;
  }
  folder.finish(model, tokenizer->tag_tokens(), trainer.state(), saved_dtype(config, runtime));
  return ExitCode::kDone;
}

}  // namespace

ExitCode train(const TrainConfig& config) {
  check(config);
  try {
    return train_as(launch_environment(), config);
  } catch (const std::exception& error) {
    log_debug("ended by: {}", error.what());  // for the file of a rank
    throw;
  }
}

}  // namespace reflect
