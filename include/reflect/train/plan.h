// What a training run takes in memory and how fast it will be, by formula, before anything is
// allocated: for this machine or for one that is only described.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "reflect/model/llama_config.h"
#include "reflect/model/memory.h"

namespace reflect {

struct PlanConfig {
  bool show = false;
  std::string gpu = "here";
  std::int64_t gpus = 0;
  std::int64_t nodes = 1;
  bool json = false;
  void visit(auto& v) {
    v("plan", show,
      "Print what the run takes in memory and how fast it will be, and stop; needs config.json of "
      "--model only. Exit code 2 with the smallest change that fits where it does not fit.");
    v("plan.gpu", gpu, "GPU to plan for; here: this machine, with --device.",
      {"here", "h100-80g", "h200-141g", "a100-80g", "a100-40g", "a6000-48g", "rtx4090-24g"});
    v("plan.gpus", gpus, "GPUs (processes) of a node; 0: as many as this job has, else 1.");
    v("plan.nodes", nodes, "Nodes.");
    v("plan.json", json, "Print the plan as JSON.");
  }
};

// What runs the ranks. Bytes, and bytes a second of one rank in one direction.
struct Machine {
  std::string name;
  bool is_cpu = false;
  std::int64_t nodes = 1, ranks_of_node = 1;
  double memory = 0;      // for a rank; on a CPU its part of the machine's
  double flops = 0;       // of dense bf16 products (on a CPU in the run's dtype); 0: not known
  double efficiency = 1;  // share of flops that training reaches
  double memory_bandwidth = 0;  // 0: not known
  double link = 0;              // between ranks of a node
  double network = 0;           // between nodes
  double host_link = 0;         // from host memory
  std::int64_t ranks() const { return nodes * ranks_of_node; }
};

// A GPU by the name that --plan.gpu knows, from its data sheet. Throws Error (usage).
Machine machine_of_gpus(const std::string& name, std::int64_t nodes, std::int64_t gpus_of_node);

// A run as its formulas see it.
struct RunShape {
  LlamaConfig model;
  BaseLayout base;  // ranks: set by plan_run
  std::int64_t hybrid_group = 0;
  std::optional<LoraConfig> lora;  // none: every weight is trained
  Recompute recompute = Recompute::kAuto;
  std::int64_t row_tokens = 4096;   // of the longest row
  std::int64_t pack_tokens = 4096;  // of a full pack
  std::int64_t trained_tokens = 0;  // of these, with a weight
  bool several_rows = true;         // in a pack
  std::int64_t packs_of_step = 1;   // over all ranks
  bool pairs = false;               // preferences: a second forward pass, of the reference
  bool saves = true;                // makes a copy of the state for checkpoints
};

// Bytes of one kind. What is not `at_peak` is there at another time than the peak.
struct MemoryItem {
  std::string kind, note;
  std::int64_t bytes = 0;
  bool at_peak = true;
};

struct RunPlan {
  std::vector<MemoryItem> device;  // of a rank, where it computes; on a CPU all there is
  std::vector<MemoryItem> host;    // of a rank, beside a GPU
  std::int64_t tensors = 0;        // on the device at the peak, as its allocator counts
  std::int64_t peak = 0;           // the same with what libraries take
  std::int64_t trained = 0;        // numbers
  Recompute recompute = Recompute::kNone;
  double tokens_per_second = 0;  // of all ranks; 0: not known
  double mfu = 0;                // model FLOPs, of all ranks' peak
  double hfu = 0;                // the same with what is recomputed
  double busy = 1;               // share of ranks' time that has a pack
  double arriving = 0;           // share of a pack's time that waiting for weights takes
  double exchanging = 0;         // the same of sums over ranks that compute a pack together
};

// `recompute` auto is resolved as Llama does it. MFU counts 4 N + 6 L H S FLOPs a token under LoRA,
// 6 N + 6 L H S else (N: weights without the input embedding; S: tokens of a row).
RunPlan plan_run(const RunShape& run, const Machine& machine);

// Whether a rank's memory is enough.
bool fits(const RunPlan& plan, const Machine& machine);

// A change of settings: flags, and what the run is then.
struct PlanChange {
  std::string flags;
  double cost = 0;  // what it is worth to avoid it
  RunShape run;
  Machine machine;
};

// The changes with which the run fits, cheapest first; of those that contain another only the
// smaller one.
std::vector<PlanChange> changes_that_fit(const RunShape& run, const Machine& machine);

// The plan as a table for people, and as JSON.
std::string plan_table(const RunShape& run, const Machine& machine, const RunPlan& plan);
std::string plan_json(const RunShape& run, const Machine& machine, const RunPlan& plan);

}  // namespace reflect
