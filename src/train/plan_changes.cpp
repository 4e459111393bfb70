// The search for the smallest change of settings with which a run fits.
#include <algorithm>
#include <functional>
#include <set>

#include "reflect/base/error.h"
#include "reflect/model/tensor_parallel.h"
#include "reflect/train/plan.h"

namespace reflect {
namespace {

// One setting's possible values, the present one first (no flags, no cost).
struct Step {
  std::string flags;
  double cost = 0;
  std::function<void(PlanChange&)> apply = [](PlanChange&) {};
};
using Steps = std::vector<Step>;

// Time first, then traffic, then precision, then shorter rows, then the slow ways and more
// machines.
constexpr double kSelectiveCost = 1, kBlockCost = 2, kShardCost = 2, kTensorCost = 3, kFp8Cost = 4,
                 kNf4Cost = 6, kHalfPackCost = 5, kOffloadCost = 15, kDoubleCost = 20,
                 kLoraCost = 40;
constexpr std::int64_t kShortestPack = 512;
constexpr std::int64_t kGpusOfNode = 8;

Steps recompute_steps(Recompute now) {
  Steps steps = {{}};
  const auto add = [&](Recompute choice, double cost) {
    steps.push_back({fmt::format("--recompute {}", name_of(choice)), cost,
                     [choice](PlanChange& change) { change.run.recompute = choice; }});
  };
  if (now == Recompute::kNone) add(Recompute::kSelective, kSelectiveCost);
  if (now != Recompute::kBlock) add(Recompute::kBlock, kBlockCost);
  return steps;
}

Steps storage_steps(const RunShape& run) {
  Steps steps = {{}};
  const auto add = [&](const char* storage, double cost) {
    steps.push_back({fmt::format("--base.storage {}", storage), cost,
                     [storage](PlanChange& change) { change.run.base.storage = storage; }});
  };
  if (!run.lora) return steps;
  if (run.base.storage == "dtype") add("fp8", kFp8Cost);
  if (run.base.storage != "nf4") add("nf4", kNf4Cost);
  return steps;
}

Steps placement_steps(const RunShape& run) {
  Steps steps = {{}};
  const auto add = [&](const char* placement, double cost) {
    if (run.base.placement != placement)
      steps.push_back({fmt::format("--placement {}", placement), cost, [placement](PlanChange& c) {
                         c.run.base.placement = placement;
                         c.run.base.tensor_parallel = 1;
                         c.run.hybrid_group = 0;
                       }});
  };
  if (!run.lora) return steps;
  add("hybrid", kShardCost);
  add("shard", kShardCost + 0.5);
  add("offload", kOffloadCost);
  for (const std::int64_t slices : {2, 4, 8})
    if (slices != run.base.tensor_parallel)
      steps.push_back({fmt::format("--placement replicate --tensor_parallel {}", slices),
                       kTensorCost + static_cast<double>(slices) / 8, [slices](PlanChange& c) {
                         c.run.base.placement = "replicate";
                         c.run.base.tensor_parallel = slices;
                       }});
  return steps;
}

Steps pack_steps(const RunShape& run) {
  Steps steps = {{}};
  std::int64_t tokens = run.pack_tokens;
  for (double cost = kHalfPackCost; tokens / 2 >= kShortestPack; cost += kHalfPackCost) {
    tokens /= 2;
    const std::string rows =
        run.row_tokens > tokens ? fmt::format(" --max_seq_length {}", tokens) : "";
    steps.push_back(
        {fmt::format("--packing.capacity {}{}", tokens, rows), cost, [tokens](PlanChange& change) {
           RunShape& shape = change.run;
           shape.trained_tokens = shape.trained_tokens * tokens / shape.pack_tokens;
           shape.pack_tokens = tokens;
           shape.row_tokens = std::min(shape.row_tokens, tokens);
         }});
  }
  return steps;
}

// More GPUs: those of a node first.
Steps machine_steps(const Machine& machine) {
  Steps steps = {{}};
  Machine more = machine;
  for (double cost = kDoubleCost; !machine.is_cpu && more.ranks() < 1024; cost += kDoubleCost) {
    if (more.ranks_of_node < kGpusOfNode) {
      more.ranks_of_node = std::min(2 * more.ranks_of_node, kGpusOfNode);
    } else {
      more.nodes *= 2;
    }
    steps.push_back({fmt::format("{} node{} of {} {}", more.nodes, more.nodes == 1 ? "" : "s",
                                 more.ranks_of_node, more.name),
                     cost, [more](PlanChange& change) { change.machine = more; }});
  }
  return steps;
}

Steps method_steps(const RunShape& run) {
  Steps steps = {{}};
  if (!run.lora)
    steps.push_back(
        {"--method lora", kLoraCost, [](PlanChange& change) { change.run.lora.emplace(); }});
  return steps;
}

// A change and which settings it is of.
struct Candidate {
  PlanChange change;
  std::set<std::size_t> settings;
};

Candidate candidate_of(const RunShape& run, const Machine& machine,
                       const std::vector<const Step*>& chosen) {
  Candidate candidate{{"", 0, run, machine}, {}};
  for (std::size_t setting = 0; setting < chosen.size(); ++setting) {
    const Step& step = *chosen[setting];
    if (step.flags.empty()) continue;
    step.apply(candidate.change);
    candidate.change.cost += step.cost;
    candidate.change.flags.append(candidate.change.flags.empty() ? "" : ", ").append(step.flags);
    candidate.settings.insert(setting);
  }
  return candidate;
}

std::vector<Candidate> all_candidates(const RunShape& run, const Machine& machine) {
  std::vector<std::vector<const Step*>> chosen = {{}};
  const std::vector<Steps> settings = {
      method_steps(run),    recompute_steps(plan_run(run, machine).recompute),
      placement_steps(run), storage_steps(run),
      pack_steps(run),      machine_steps(machine)};
  for (const Steps& steps : settings) {
    std::vector<std::vector<const Step*>> longer;
    for (const auto& before : chosen)
      for (const Step& step : steps) {
        longer.push_back(before);
        longer.back().push_back(&step);
      }
    chosen = std::move(longer);
  }
  std::vector<Candidate> candidates;
  for (const auto& steps : chosen) candidates.push_back(candidate_of(run, machine, steps));
  return candidates;
}

bool can_be_cut(const PlanChange& change) {
  const LlamaConfig& model = change.run.model;
  const BaseLayout& base = change.run.base;
  const auto divides = [&](std::int64_t number) { return number % base.tensor_parallel == 0; };
  return base.placement == "replicate" && divides(model.num_attention_heads) &&
         divides(model.num_key_value_heads) && divides(model.intermediate_size) &&
         divides(change.machine.ranks_of_node) &&
         !(base.storage == "nf4" && cuts_nf4_blocks(model, base.tensor_parallel));
}

bool is_possible(const PlanChange& change) {
  const std::int64_t ranks = change.machine.ranks(), group = change.machine.ranks_of_node;
  if (change.run.base.tensor_parallel > 1) return change.run.lora && can_be_cut(change);
  if (change.run.base.placement == "shard") return ranks > 1;
  if (change.run.base.placement == "hybrid") return change.machine.nodes > 1 && group > 1;
  return true;
}

}  // namespace

std::vector<PlanChange> changes_that_fit(const RunShape& run, const Machine& machine) {
  std::vector<Candidate> candidates = all_candidates(run, machine);
  std::ranges::stable_sort(candidates, {}, [](const Candidate& c) { return c.change.cost; });
  std::vector<PlanChange> changes;
  std::vector<std::set<std::size_t>> found;
  for (const Candidate& candidate : candidates) {
    const bool contains_one =
        std::ranges::any_of(found, [&](const std::set<std::size_t>& settings) {
          return std::ranges::includes(candidate.settings, settings);
        });
    if (candidate.settings.empty() || contains_one || !is_possible(candidate.change)) continue;
    if (!fits(plan_run(candidate.change.run, candidate.change.machine), candidate.change.machine))
      continue;
    found.push_back(candidate.settings);
    changes.push_back(candidate.change);
  }
  return changes;
}

}  // namespace reflect
