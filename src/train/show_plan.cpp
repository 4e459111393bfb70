#include "show_plan.h"

#include <ATen/ops/ones.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "limits.h"
#include "reflect/model/product.h"
#include "reflect/model/tensor_parallel.h"
#include "reflect/train/flops.h"
#include "trained_tokens.h"

namespace reflect {
namespace {

// What of a CPU's matrix-product rate training reaches with this project's kernels.
constexpr double kCpuEfficiency = 0.6;
constexpr double kCpuLink = 2e9;   // Gloo between processes of a machine
constexpr double kDiskRate = 2e9;  // mapped files, mostly in the page cache

// Bytes that processes of this machine may use: the control group's limit where there is one.
double cpu_memory() {
  double memory =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  double limit = 0;
  if (std::ifstream("/sys/fs/cgroup/memory.max") >> limit && limit > 0)
    memory = std::min(memory, limit);
  return memory;
}

constexpr double kPlanSeconds = 0.2, kRunSeconds = 0.03;  // of measuring

// Of matrix products.
double measured_flops(at::ScalarType dtype, double for_seconds) {
  using Clock = std::chrono::steady_clock;
  constexpr std::int64_t kSize = 1024;
  constexpr double kProduct = 2.0 * kSize * kSize * kSize;
  const at::Tensor a = at::ones({kSize, kSize}, dtype);
  product(a, a);  // makes threads and kernels
  const auto start = Clock::now();
  double flops = 0, seconds = 0;
  while (seconds < for_seconds) {
    product(a, a);
    flops += kProduct;
    seconds = std::chrono::duration<double>(Clock::now() - start).count();
  }
  return flops / seconds;
}

// What the driver calls the first GPU of this machine; empty: it does not say.
std::string gpu_model() {
  std::error_code error;
  for (const auto& gpu : std::filesystem::directory_iterator("/proc/driver/nvidia/gpus", error)) {
    std::ifstream file(gpu.path() / "information");
    for (std::string line; std::getline(file, line);)
      if (line.starts_with("Model:")) return line;
  }
  return "";
}

double gpu_memory(const at::Device& device) {
  return static_cast<double>(at::getDeviceAllocator(device.type())
                                 ->getMemoryInfo(std::max<int>(0, device.index()))
                                 .second);
}

struct Planned {
  RunShape run;
  Machine machine;
};

Planned planned_for(const TrainConfig& config, const LaunchEnvironment& place) {
  const PlanConfig& plan = config.plan;
  const std::int64_t job =
      place.world_size > 1 ? place.world_size : std::max<std::int64_t>(1, config.launch.nproc);
  const bool here = plan.gpu == "here";
  const std::int64_t of_node = plan.gpus > 0 ? plan.gpus : here ? job : 1;
  if (!here) {
    const at::ScalarType dtype = config.runtime.dtype == "fp32" ? at::kFloat : at::kBFloat16;
    return {run_shape_of(config, dtype), machine_of_gpus(plan.gpu, plan.nodes, of_node)};
  }
  const Runtime runtime = start_runtime(config.runtime);
  return {run_shape_of(config, runtime.dtype), machine_at_hand(runtime, plan.nodes, of_node)};
}

std::string as_change(const PlanChange& change) {
  const RunPlan plan = plan_run(change.run, change.machine);
  return fmt::format(
      "{} ({:.1f} GiB a rank{})", change.flags, static_cast<double>(plan.peak) / (1 << 30),
      plan.tokens_per_second > 0 ? fmt::format(", about {:.0f} tokens/s", plan.tokens_per_second)
                                 : "");
}

// A line where blocks are computed twice although memory does for keeping more; else nothing.
std::string faster_recompute(const Planned& planned, const RunPlan& plan) {
  if (plan.recompute != Recompute::kBlock || !fits(plan, planned.machine)) return "";
  for (const Recompute choice : {Recompute::kNone, Recompute::kSelective}) {
    PlanChange change{fmt::format("--recompute {}", name_of(choice)), 0, planned.run,
                      planned.machine};
    change.run.recompute = choice;
    if (fits(plan_run(change.run, change.machine), change.machine))
      return fmt::format("faster, and fits: {}\n", as_change(change));
  }
  return "";
}

[[noreturn]] void refuse(const Planned& planned, const RunPlan& plan) {
  constexpr std::size_t kShown = 3;
  const std::vector<PlanChange> changes = changes_that_fit(planned.run, planned.machine);
  std::string remedy = "no other setting fits either; take a machine with more memory";
  for (std::size_t i = 0; i < std::min(kShown, changes.size()); ++i)
    remedy = i == 0 ? "smallest change that fits: " + as_change(changes[i])
                    : remedy + "; or " + as_change(changes[i]);
  fail_usage("plan", "a rank needs {:.1f} GiB and {} has {:.1f}; {}",
             static_cast<double>(plan.peak) / (1 << 30), planned.machine.name,
             planned.machine.memory / (1 << 30), remedy);
}

}  // namespace

RunShape run_shape_of(const TrainConfig& config, at::ScalarType dtype) {
  RunShape run;
  run.model = read_llama_config(config.model);
  run.base = {.dtype = dtype,
              .storage = config.base.storage,
              .placement = config.placement.placement,
              .tensor_parallel = config.tensor_parallel};
  require_cut(run.model, config.base.storage, config.tensor_parallel);
  run.hybrid_group = config.placement.hybrid.group;
  if (config.method == "lora")
    run.lora =
        config.adapter.empty() ? config.lora : read_adapter(config.adapter, run.model).config;
  if (run.lora && config.adapter.empty()) count_tag_rows(config, *run.lora);
  if (run.lora)
    for (const std::string& target : run.lora->targets)
      if (target != kHeadTarget) projection_named(target);  // known?
  run.recompute = recompute_named(config.recompute);
  run.row_tokens = max_seq_length_of(config);
  run.pack_tokens = run.trained_tokens = pack_capacity_of(config);
  run.packs_of_step = config.gradient_accumulation_steps;
  run.pairs = config.loss.kind == "dpo";
  return run;
}

Machine machine_at_hand(const Runtime& runtime, std::int64_t nodes, std::int64_t ranks_of_node) {
  const auto ranks = static_cast<double>(ranks_of_node);
  if (!runtime.device.is_cpu())
    return {.name = "GPU of this machine",
            .nodes = nodes,
            .ranks_of_node = ranks_of_node,
            .memory = gpu_memory(runtime.device)};
  return {.name = "this machine's CPU",
          .is_cpu = true,
          .nodes = nodes,
          .ranks_of_node = ranks_of_node,
          .memory = cpu_memory() / ranks,
          .flops = measured_flops(runtime.dtype, kPlanSeconds) / ranks,
          .efficiency = kCpuEfficiency,
          .link = kCpuLink / ranks,
          .network = kCpuLink / ranks,
          .host_link = kDiskRate / ranks};
}

double peak_flops(const Runtime& runtime) {
  if (runtime.device.is_cpu()) return measured_flops(runtime.dtype, kRunSeconds);
  return flops_of_gpu(gpu_model()).value_or(0);
}

ExitCode show_plan(const TrainConfig& config, const LaunchEnvironment& place) {
  if (place.rank != 0) return ExitCode::kDone;
  const Planned planned = planned_for(config, place);
  if (planned.machine.ranks_of_node % config.tensor_parallel != 0)
    fail_usage("plan",
               "--tensor_parallel {} must divide the {} processes of a node; see --plan.gpus",
               config.tensor_parallel, planned.machine.ranks_of_node);
  const RunPlan plan = plan_run(planned.run, planned.machine);
  std::cout << (config.plan.json ? plan_json(planned.run, planned.machine, plan)
                                 : plan_table(planned.run, planned.machine, plan) +
                                       faster_recompute(planned, plan))
            << std::flush;
  if (!fits(plan, planned.machine)) refuse(planned, plan);
  return ExitCode::kDone;
}

std::string memory_summary(const RunPlan& plan) {
  const auto mib = [](std::int64_t bytes) {
    return fmt::format("{:.1f}", static_cast<double>(bytes) / (1 << 20));
  };
  std::string parts;
  for (const MemoryItem& item : plan.device)
    if (item.at_peak)
      parts += fmt::format("{}{} {}", parts.empty() ? "" : ", ", item.kind, mib(item.bytes));
  return fmt::format("expected peak of a rank: {} MiB ({})", mib(plan.peak), parts);
}

}  // namespace reflect
