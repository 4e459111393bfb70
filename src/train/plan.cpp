#include "reflect/train/plan.h"

#include <algorithm>
#include <cmath>

#include "reflect/base/error.h"
#include "reflect/model/tensor_parallel.h"
#include "reflect/train/flops.h"
#include "reflect/train/loss.h"

namespace reflect {
namespace {

constexpr std::int64_t kFp32Bytes = 4;
constexpr std::int64_t kMiB = 1 << 20;

std::int64_t width_of(const RunShape& run) {
  return static_cast<std::int64_t>(c10::elementSize(run.base.dtype));
}

// Ranks that hold a copy of the base together.
std::int64_t ranks_of_copy(const RunShape& run, const Machine& machine) {
  if (run.base.placement == "shard") return machine.ranks();
  if (run.base.placement == "hybrid")
    return run.hybrid_group > 0 ? run.hybrid_group : machine.ranks_of_node;
  return 1;
}

BaseLayout layout_of(const RunShape& run, const Machine& machine) {
  BaseLayout layout = run.base;
  layout.ranks = ranks_of_copy(run, machine);
  layout.on_cpu = machine.is_cpu;
  return layout;
}

// The formulas of one rank's memory.
class MemoryPlan {
 public:
  MemoryPlan(const RunShape& run, const Machine& machine, RunPlan& plan)
      : run_(run), machine_(machine), layout_(layout_of(run, machine)), plan_(plan) {}

  void make() {
    if (run_.lora) {
      add_frozen_base();
    } else {
      add_trained_weights();
    }
    add("gradients", gradients(), run_.lora ? "fp32" : "fp32 and those of one pack");
    add("optimizer", 2 * plan_.trained * kFp32Bytes, "AdamW: two moments in fp32");
    if (run_.saves) {
      auto& side = machine_.is_cpu ? plan_.device : plan_.host;
      side.push_back({"checkpoint", "rank 0: a copy of values and moments, to be written",
                      3 * plan_.trained * kFp32Bytes});
    }
    add_pass();
    for (const MemoryItem& item : plan_.device)
      if (item.at_peak) plan_.tensors += item.bytes;
    add_libraries();
    for (const MemoryItem& item : plan_.device)
      if (item.at_peak) plan_.peak += item.bytes;
  }

 private:
  void add(std::string kind, std::int64_t bytes, std::string note, bool at_peak = true) {
    if (bytes > 0) plan_.device.push_back({std::move(kind), std::move(note), bytes, at_peak});
  }

  bool computes_in_float() const { return width_of(run_) == kFp32Bytes; }

  void add_frozen_base() {
    const BaseMemory base = base_memory(run_.model, layout_);
    const std::int64_t slices = layout_.tensor_parallel;
    add("base", base.weights,
        slices > 1          ? fmt::format("1/{} of each projection, all of each table", slices)
        : layout_.ranks > 1 ? fmt::format("1/{} of each block and table", layout_.ranks)
                            : "");
    add("block buffers", base.buffers,
        layout_.storage == "dtype" ? "two gathered units" : "gathered and dequantised blocks");
    if (base.host > 0) plan_.host.push_back({"base", "pinned, copied block by block", base.host});
    plan_.trained = adapter_size(run_.model, *run_.lora);
    add("adapter", plan_.trained * kFp32Bytes, "fp32");
  }

  void add_trained_weights() {
    plan_.trained = run_.model.parameters();
    const std::int64_t copy = computes_in_float() ? 0 : plan_.trained * width_of(run_);
    add("weights", plan_.trained * kFp32Bytes + copy,
        copy > 0 ? "fp32 masters and a bf16 copy" : "fp32");
  }

  std::int64_t gradients() const {
    const bool copies = !run_.lora && !computes_in_float();
    return plan_.trained * (kFp32Bytes + (copies ? width_of(run_) : 0));
  }

  void add_pass() {
    const ActivationMemory activations = activation_memory(
        sliced(run_.model, layout_.tensor_parallel), {.tokens = run_.pack_tokens,
                                                      .several_rows = run_.several_rows,
                                                      .dtype = run_.base.dtype,
                                                      .on_cpu = machine_.is_cpu,
                                                      .recompute = plan_.recompute,
                                                      .lora = run_.lora});
    // The loss leaves the gradient of the hidden states (and of a trained output matrix) behind.
    const std::int64_t table = run_.model.vocab_size * run_.model.hidden_size;
    const std::int64_t hidden = run_.trained_tokens * run_.model.hidden_size * width_of(run_);
    const std::int64_t head =
        run_.lora ? head_adapter_size(run_.model, *run_.lora) * kFp32Bytes : table * width_of(run_);
    const std::int64_t left = hidden + head;
    const std::int64_t backward = activations.backward + left, loss = loss_bytes() + left;
    const bool backward_is_peak = backward >= loss;
    add("activations", activations.kept,
        fmt::format("kept from forward to backward, {} tokens", run_.pack_tokens));
    add("backward", backward, "one block at a time", backward_is_peak);
    add("loss", loss, fmt::format("logits of {} positions at a time", logits_at_a_time()),
        !backward_is_peak);
  }

  std::int64_t logits_at_a_time() const {
    return std::min(own_tokens(), rows_of_logits(run_.model.vocab_size));
  }

  // Trained ones whose logits this rank computes.
  std::int64_t own_tokens() const {
    return (run_.trained_tokens + layout_.tensor_parallel - 1) / layout_.tensor_parallel;
  }

  // While the loss is computed, without what it leaves: all hidden states, those that count, a
  // slice of logits and the gradient that it gives.
  std::int64_t loss_bytes() const {
    const LlamaConfig& model = run_.model;
    const std::int64_t width = width_of(run_);
    const std::int64_t hidden = (run_.pack_tokens + own_tokens()) * model.hidden_size;
    const std::int64_t slice = logits_at_a_time();
    const std::int64_t table = model.vocab_size * model.hidden_size;
    return hidden * width + slice * model.vocab_size * width + slice * model.hidden_size * width +
           2 * own_tokens() * kFp32Bytes +
           (run_.lora ? head_adapter_bytes() : table * (kFp32Bytes + width));
  }

  // Of an adapter on the output matrix: its factors in the type of the states, a chunk's gradients.
  std::int64_t head_adapter_bytes() const {
    const std::int64_t size = head_adapter_size(run_.model, *run_.lora);
    const std::int64_t copy = computes_in_float() ? 0 : size * width_of(run_);
    // Trained rows are set into the logits, whose gradient is then a copy of the slice.
    const bool rows = run_.lora->token_count() > 0 && !run_.lora->has_target(kHeadTarget);
    const bool scaled = run_.lora->dora && run_.lora->has_target(kHeadTarget);
    const std::int64_t slice = logits_at_a_time() * run_.model.vocab_size * width_of(run_);
    return size * kFp32Bytes + copy + (rows ? slice : 0) + (scaled ? 2 * slice : 0);
  }

  // Not tensors: estimates.
  void add_libraries() {
    if (machine_.is_cpu) {
      add("program", 235 * kMiB, "code, libraries, heap (estimate)");
      return;
    }
    add("CUDA", 700 * kMiB, "context, libraries, workspaces (estimate)");
    if (machine_.ranks() > 1) add("NCCL", 600 * kMiB, "channels and buffers (estimate)");
    add("fragments", static_cast<std::int64_t>(0.03 * static_cast<double>(plan_.tensors)),
        "3 % that the allocator cannot use (estimate)");
    plan_.host.push_back({"program", "code, CUDA's host side, rows (estimate)", 2048 * kMiB});
  }

  const RunShape& run_;
  const Machine& machine_;
  BaseLayout layout_;
  RunPlan& plan_;
};

// Seconds of one pack and of what lies beside it.
class SpeedPlan {
 public:
  SpeedPlan(const RunShape& run, const Machine& machine, RunPlan& plan)
      : run_(run), machine_(machine), layout_(layout_of(run, machine)), plan_(plan) {}

  void make() {
    if (machine_.flops <= 0) return;
    const auto tokens = static_cast<double>(run_.pack_tokens);
    const auto ranks = static_cast<double>(machine_.ranks());
    const auto slices = static_cast<double>(layout_.tensor_parallel);
    const double compute =
        hardware_flops() * tokens / (machine_.flops * machine_.efficiency * slices);
    const double working = compute + dequantising_seconds() + exchanging_seconds();
    // On a CPU the cores that compute are those that gather.
    const double pack =
        machine_.is_cpu ? working + arriving_seconds() : std::max(working, arriving_seconds());
    plan_.arriving = 1 - working / pack;
    plan_.exchanging = exchanging_seconds() / pack;
    const double groups = ranks / slices;
    const double rounds = std::ceil(static_cast<double>(run_.packs_of_step) / groups);
    plan_.busy = static_cast<double>(run_.packs_of_step) / (rounds * groups);
    const double step = rounds * pack + reducing_seconds();
    plan_.tokens_per_second = static_cast<double>(run_.packs_of_step) * tokens / step;
    const double peak = machine_.flops * ranks;
    plan_.mfu = plan_.tokens_per_second * model_flops() / peak;
    plan_.hfu = plan_.tokens_per_second * hardware_flops() / peak;
  }

 private:
  double weights() const { return multiplied_weights(run_.model); }

  double forward_flops() const {
    return 2 * weights() + attention_flops(run_.model, 2, static_cast<double>(run_.row_tokens));
  }
  double model_flops() const {
    return reflect::model_flops(run_.model, run_.lora.has_value(),
                                static_cast<double>(run_.row_tokens));
  }

  double hardware_flops() const {
    const auto table = static_cast<double>(run_.model.vocab_size * run_.model.hidden_size);
    const double again = plan_.recompute == Recompute::kBlock ? forward_flops() - 2 * table : 0;
    return model_flops() + again + (run_.pairs ? forward_flops() : 0);
  }

  // Passes over the blocks' weights for one pack.
  double passes() const { return run_.pairs ? 3 : 2; }

  double dequantising_seconds() const {
    if (!run_.lora || layout_.storage == "dtype" || machine_.memory_bandwidth <= 0) return 0;
    BaseLayout plain = layout_;
    plain.placement = "replicate";
    const auto coded = static_cast<double>(base_memory(run_.model, plain).weights);
    const double own = weights() / static_cast<double>(layout_.tensor_parallel);
    return passes() * (coded + own * static_cast<double>(width_of(run_))) /
           machine_.memory_bandwidth;
  }

  // Sums over ranks that compute a pack together: two a block and direction, and one of the hidden
  // states' gradients.
  double exchanging_seconds() const {
    const auto slices = static_cast<double>(layout_.tensor_parallel);
    if (slices == 1) return 0;
    const double directions =
        2 + (plan_.recompute == Recompute::kBlock ? 1 : 0) + (run_.pairs ? 1 : 0);
    const double sums = 2 * directions * static_cast<double>(run_.model.num_hidden_layers) + 1;
    const auto bytes =
        static_cast<double>(run_.pack_tokens * run_.model.hidden_size * width_of(run_));
    return sums * bytes * 2 * (slices - 1) / slices / machine_.link;
  }

  double arriving_seconds() const {
    if (!run_.lora) return 0;
    const auto bytes = passes() * static_cast<double>(base_memory(run_.model, layout_).arriving);
    if (layout_.placement == "offload") return bytes / machine_.host_link;
    const double inside = bytes / machine_.link;
    if (layout_.ranks <= machine_.ranks_of_node) return inside;
    // All cards of a node bring what its ranks do not have, once.
    const double nodes =
        static_cast<double>(layout_.ranks) / static_cast<double>(machine_.ranks_of_node);
    const double whole =
        bytes * static_cast<double>(layout_.ranks) / static_cast<double>(layout_.ranks - 1);
    const double outside = whole * (nodes - 1) / nodes /
                           (machine_.network * static_cast<double>(machine_.ranks_of_node));
    return std::max(inside, outside);
  }

  double reducing_seconds() const {
    if (machine_.ranks() == 1) return 0;
    const double rate = machine_.nodes > 1 ? machine_.network : machine_.link;
    return 2 * static_cast<double>(plan_.trained) * kFp32Bytes / rate;
  }

  const RunShape& run_;
  const Machine& machine_;
  BaseLayout layout_;
  RunPlan& plan_;
};

}  // namespace

RunPlan plan_run(const RunShape& run, const Machine& machine) {
  RunPlan plan;
  plan.recompute = run.recompute;
  if (run.recompute == Recompute::kAuto)
    plan.recompute = !run.lora || is_lasting(run.base) ? Recompute::kNone : Recompute::kBlock;
  MemoryPlan(run, machine, plan).make();
  SpeedPlan(run, machine, plan).make();
  return plan;
}

bool fits(const RunPlan& plan, const Machine& machine) {
  return static_cast<double>(plan.peak) <= machine.memory;
}

}  // namespace reflect
