#include "check_config.h"

#include <algorithm>

namespace reflect {
namespace {

// Whether nothing is set that an adapter brings itself.
bool has_no_shape(LoraConfig config) {
  config.plus_ratio = LoraConfig().plus_ratio;
  return is_standard(config);
}

bool is_decay(double share) {
  return share >= 0 && share < 1;
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
  refuse(config.heldout_problems.problems.empty() && !is_standard(config.heldout_problems),
         "heldout.max_*", "it is for --heldout.problems");
}

void check_problems(const TrainConfig& config) {
  const HeldoutProblemsConfig& heldout = config.heldout_problems;
  if (!heldout.problems.empty() && config.tensor_parallel != 1)
    fail_usage("train",
               "--heldout.problems {}: a model that is cut with --tensor_parallel cannot decode; "
               "use --placement shard",
               heldout.problems);
  if (heldout.max_problems < 0 || heldout.max_new_tokens < 1 || heldout.max_batch_rows < 1)
    fail_usage("train",
               "--heldout.max_problems {} must not be negative, --heldout.max_new_tokens {} and "
               "--heldout.max_batch_rows {} must be at least 1",
               heldout.max_problems, heldout.max_new_tokens, heldout.max_batch_rows);
}

}  // namespace

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

void check_config(const TrainConfig& config) {
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
  check_problems(config);
  require(config.init == "checkpoint" || config.method == "full", "init",
          "random needs --method full: random weights stay random under an adapter");
  require(config.base.storage == "dtype" || config.method == "lora", "base.storage",
          "is for a frozen base; it needs --method lora");
  const bool replicates = config.placement.placement == "replicate";
  require(replicates || config.method == "lora", "placement",
          "other than replicate is for a frozen base; it needs --method lora");
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

}  // namespace reflect
