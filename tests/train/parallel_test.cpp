// Training by several ranks (threads of the test, real collectives) equals training by one.
#include <ATen/Functions.h>

#include <catch2/catch.hpp>
#include <sstream>

#include "dist/ranks.h"
#include "golden_case.h"
#include "reflect/base/error.h"
#include "temp_folder.h"

using namespace reflect;

namespace {

constexpr std::int64_t kSteps = 6, kLong = 20;

TrainerConfig run_config(const std::string& output, std::int64_t packs_per_step,
                         std::int64_t steps = kSteps) {
  TrainerConfig config;
  config.output = output;
  config.length = {.steps = steps, .packs = steps * packs_per_step - 1, .tokens = 1};
  config.packs_per_step = packs_per_step;
  config.optimizer.lr = 1e-3;
  config.schedule.warmup_steps = 2;
  config.quiet = true;
  config.identity = {{"seed", "0"}};
  return config;
}

struct Base {
  std::string placement = "replicate";
  std::string storage = "dtype";
  int tensor_parallel = 1;
  Recompute recompute = Recompute::kAuto;
  std::string model = kGoldenModel;
  at::ScalarType dtype = at::kFloat;
};

// Steps that some ranks do together.
struct Part {
  int ranks;
  std::int64_t steps;
  Base base = {};
};

// One of several ranks' trainer with all that it needs.
struct Run {
  std::vector<Example> examples;
  TunedModel model;
  Trainer trainer;

  Run(const TrainerConfig& config, ProcessGroup& group, const Base& base = {},
      std::vector<Example> rows = read_golden_case("lora").examples)
      : examples(std::move(rows)),
        model(tuned(group, base), Runtime{base.dtype, at::kCPU}),
        trainer(config, model, examples, packs(config), group) {}

  static TunedModelOptions tuned(const ProcessGroup& group, const Base& base) {
    TunedModelOptions options{.folder = base.model, .recompute = base.recompute};
    options.lora_config.rank = 4;
    options.lora_config.dropout = 0.1;
    options.lora_config.targets.emplace_back("lm_head");
    options.lora_config.token_ids = {5, 17, 300};
    options.base.storage = base.storage;
    options.placement.config = {.placement = base.placement, .hybrid = {group.size() > 2 ? 2 : 0}};
    options.placement.group = group;
    options.placement.tensor_parallel = base.tensor_parallel;
    return options;
  }
  PackStream packs(const TrainerConfig& config) const {
    std::vector<std::int64_t> lengths;
    for (const Example& example : examples)
      lengths.push_back(static_cast<std::int64_t>(example.size()));
    return PackStream(PackPlan(
        lengths,
        {.capacity = 128, .window = 16, .rows_per_item = config.preference ? 2 : 1, .seed = 1}));
  }
};

struct Outcome {
  std::vector<double> losses, gradient_norms;
  std::vector<std::int64_t> trained_tokens;
  std::vector<at::Tensor> adapters;  // of each rank
};

void read_metrics(const std::string& folder, Outcome& outcome) {
  std::istringstream text(read_file(folder + "/metrics.jsonl"));
  for (std::string line; std::getline(text, line);) {
    const auto json = nlohmann::json::parse(line);
    outcome.losses.push_back(json["loss"]);
    outcome.gradient_norms.push_back(json["grad_norm"]);
    outcome.trained_tokens.push_back(json["trained_tokens"]);
  }
}

// The run in parts of some steps each, every part by another number of ranks; `planned`: it stops
// with its last part, before the end that its schedule is made for.
Outcome run_in_parts(const std::vector<Part>& parts, std::int64_t packs_per_step,
                     const std::optional<PreferenceConfig>& preference = {},
                     std::int64_t planned = 0) {
  const TempFolder folder;
  Outcome outcome;
  std::int64_t steps = 0;
  for (const Part& part : parts) steps += part.steps;
  for (const Part& part : parts) {
    outcome.adapters.assign(static_cast<std::size_t>(part.ranks), {});
    const auto failures = run_ranks(part.ranks, [&](ProcessGroup& group) {
      TrainerConfig config = run_config(folder.path(), packs_per_step, std::max(steps, planned));
      config.preference = preference;
      Run run(config, group, part.base);
      run.trainer.resume();
      run.trainer.run_steps(part.steps);
      run.trainer.save();
      outcome.adapters[static_cast<std::size_t>(group.rank())] =
          run.model.parameters().values().clone();
    });
    for (const std::string& failure : failures) CHECK(failure.empty());
  }
  read_metrics(folder.path(), outcome);
  REQUIRE(outcome.losses.size() == static_cast<std::size_t>(steps));
  return outcome;
}

void require_equal(const Outcome& a, const Outcome& b) {
  REQUIRE(a.losses.size() == b.losses.size());
  CHECK(a.trained_tokens == b.trained_tokens);
  for (std::size_t step = 0; step < a.losses.size(); ++step) {
    CAPTURE(step);
    CHECK(a.losses[step] == Approx(b.losses[step]).epsilon(1e-6));
    CHECK(a.gradient_norms[step] == Approx(b.gradient_norms[step]).epsilon(1e-4));
  }
  // AdamW makes a step of a gradient that is nothing but rounding: 1e-9 on average.
  if (!b.adapters.empty()) CHECK(at::allclose(a.adapters[0], b.adapters[0], 1e-4, 1e-5));
  for (const at::Tensor& adapter : a.adapters) CHECK(at::equal(adapter, a.adapters[0]));
}

// The first steps of `whole`, without the adapters at its end.
Outcome beginning(Outcome whole, std::size_t steps) {
  whole.losses.resize(steps);
  whole.gradient_norms.resize(steps);
  whole.trained_tokens.resize(steps);
  whole.adapters.clear();
  return whole;
}

}  // namespace

TEST_CASE("two and four ranks give the losses and the adapter of one") {
  // Four packs divide evenly; of three, some ranks have none in some passes.
  const std::int64_t packs_per_step = GENERATE(4, 3);
  const Outcome one = run_in_parts({{1, kSteps}}, packs_per_step);
  for (const int ranks : {2, 4}) {
    CAPTURE(packs_per_step, ranks);
    require_equal(run_in_parts({{ranks, kSteps}}, packs_per_step), one);
  }
}

TEST_CASE("a run goes on at another number of ranks with the same data") {
  const Outcome one = run_in_parts({{1, kSteps}}, 4);
  require_equal(run_in_parts({{2, 2}, {4, 2}, {1, 2}}, 4), one);
}

TEST_CASE("ranks of one size resume to the bit") {
  const Outcome whole = run_in_parts({{2, kSteps}}, 4), parts = run_in_parts({{2, 3}, {2, 3}}, 4);
  CHECK(whole.losses == parts.losses);
  CHECK(at::equal(whole.adapters[0], parts.adapters[0]));
}

namespace {

void require_same_bits(const Outcome& a, const Outcome& b) {
  CHECK(a.losses == b.losses);
  CHECK(a.gradient_norms == b.gradient_norms);
  if (!b.adapters.empty()) CHECK(at::equal(a.adapters[0], b.adapters[0]));
  for (const at::Tensor& adapter : a.adapters) CHECK(at::equal(adapter, a.adapters[0]));
}

// Losses agree as far as bf16 tells.
void require_close(const Outcome& a, const Outcome& b) {
  REQUIRE(a.losses.size() == b.losses.size());
  for (std::size_t step = 0; step < a.losses.size(); ++step) {
    CAPTURE(step);
    CHECK(a.losses[step] == Approx(b.losses[step]).epsilon(4e-3));
  }
}

}  // namespace

TEST_CASE(
    "twenty steps at 1, 2 and 4 ranks are the same in every placement, dtype, recomputation") {
  const std::string kind = GENERATE("fp32", "bf16", "fp8", "nf4");
  CAPTURE(kind);
  const bool coded = kind == "fp8" || kind == "nf4";
  const Base whole{.storage = coded ? kind : "dtype",
                   .recompute = Recompute::kBlock,
                   .dtype = kind == "bf16" ? at::kBFloat16 : at::kFloat};
  constexpr std::int64_t kPacks = 3;  // some ranks have no pack in some passes
  const Outcome one = run_in_parts({{1, kLong, whole}}, kPacks);
  for (const int ranks : {1, 2, 4}) {
    CAPTURE(ranks);
    const Outcome several = ranks == 1 ? one : run_in_parts({{ranks, kLong, whole}}, kPacks);
    if (kind == "bf16") {
      require_close(several, one);
    } else {
      require_equal(several, one);
    }
    for (const char* placement : {"replicate", "shard", "hybrid", "offload"}) {
      Base other = whole;
      other.placement = placement;
      CAPTURE(placement);
      if (other.placement != whole.placement)
        require_same_bits(run_in_parts({{ranks, kLong, other}}, kPacks), several);
      for (const Recompute recompute : {Recompute::kNone, Recompute::kSelective}) {
        CAPTURE(name_of(recompute));
        other.recompute = recompute;
        require_same_bits(run_in_parts({{ranks, kSteps, other}}, kPacks, {}, kLong),
                          beginning(several, kSteps));
      }
    }
  }
}

TEST_CASE("preferences trained by two and four ranks, whole base or shares, equal those of one") {
  const PreferenceConfig preference{.form = GENERATE("sigmoid", "ipo"), .sft_weight = 0.1};
  CAPTURE(preference.form);
  const Outcome one = run_in_parts({{1, kSteps}}, 3, preference);
  const Base whole, shares{.placement = "hybrid"},
      kept{.placement = "shard", .recompute = Recompute::kSelective};
  for (const int ranks : {2, 4})
    for (const Base& base : {whole, shares, kept}) {
      CAPTURE(ranks, base.placement);
      require_equal(run_in_parts({{ranks, kSteps, base}}, 3, preference), one);
    }
}

TEST_CASE("a run goes on with its base placed otherwise, to the bit") {
  const Outcome whole = run_in_parts({{2, kSteps}}, 4);
  const Outcome parts = run_in_parts({{2, 2}, {2, 2, {"shard"}}, {2, 2, {"offload"}}}, 4);
  CHECK(whole.losses == parts.losses);
  CHECK(at::equal(whole.adapters[0], parts.adapters[0]));
  require_equal(run_in_parts({{2, 2, {"shard"}}, {4, 2, {"hybrid"}}, {1, 2}}, 4), whole);
}

TEST_CASE("ranks that compute packs together give the losses and the adapter of one") {
  // Of three packs one of two groups has none in one pass.
  const std::int64_t packs_per_step = GENERATE(4, 3);
  std::optional<PreferenceConfig> preference;
  if (GENERATE(false, true)) preference = PreferenceConfig{.sft_weight = 0.1};
  CAPTURE(packs_per_step, preference.has_value());
  const Base whole, slices{.tensor_parallel = 2};
  const Outcome one = run_in_parts({{1, kSteps, whole}}, packs_per_step, preference);
  for (const int ranks : {2, 4}) {
    CAPTURE(ranks);
    require_equal(run_in_parts({{ranks, kSteps, slices}}, packs_per_step, preference), one);
  }
  require_equal(run_in_parts({{2, 2, slices}, {4, 1, slices}, {2, 2, whole}, {1, 1, whole}},
                             packs_per_step, preference),
                one);
}

namespace {

// A checkpoint like the golden one that four ranks can cut, in any storage.
void write_wide_model(const std::string& folder) {
  auto json = nlohmann::json::parse(read_file(kGoldenModel + "/config.json"));
  json.update({{"num_hidden_layers", 2},
               {"num_attention_heads", 8},
               {"num_key_value_heads", 4},
               {"head_dim", 32},
               {"intermediate_size", 256}});
  write_file_atomic(folder + "/config.json", json.dump());
  ResidentWeights weights(read_llama_config(folder), Runtime{}, 1);
  write_safetensors(folder + "/model.safetensors", weights.named());
}

}  // namespace

TEST_CASE("twenty steps of ranks that compute packs together, in every storage and recomputation") {
  const TempFolder folder;
  write_wide_model(folder.path());
  const auto run = [&](int slices, const std::string& storage, Recompute recompute,
                       at::ScalarType dtype = at::kFloat, std::int64_t steps = kLong) {
    const Base base{.storage = storage,
                    .tensor_parallel = slices,
                    .recompute = recompute,
                    .model = folder.path(),
                    .dtype = dtype};
    return run_in_parts({{slices, steps, base}}, 2, {}, kLong);
  };
  const std::string storage = GENERATE("dtype", "fp8", "nf4");
  CAPTURE(storage);
  const Outcome one = run(1, storage, Recompute::kBlock);
  require_equal(run(2, storage, Recompute::kBlock), one);
  require_equal(run(4, storage, Recompute::kBlock), one);
  for (const Recompute recompute : {Recompute::kSelective, Recompute::kNone}) {
    CAPTURE(name_of(recompute));
    require_equal(run(2, storage, recompute, at::kFloat, kSteps), beginning(one, kSteps));
  }
  if (storage != "dtype") return;
  const Outcome rounded = run(1, storage, Recompute::kBlock, at::kBFloat16);
  const Outcome cut = run(2, storage, Recompute::kBlock, at::kBFloat16);
  for (std::size_t step = 0; step < rounded.losses.size(); ++step)
    CHECK(cut.losses[step] == Approx(rounded.losses[step]).epsilon(4e-3));  // bf16's
  CHECK(at::equal(cut.adapters[0], cut.adapters[1]));
}

TEST_CASE("held-out rows have the same loss at any number of ranks, as rows and as pairs") {
  const bool pairs = GENERATE(false, true);
  const TempFolder folder;
  std::vector<double> losses;
  for (const auto& [ranks, slices] :
       std::vector<std::pair<int, int>>{{1, 1}, {2, 1}, {4, 1}, {2, 2}, {4, 2}}) {
    const auto failures = run_ranks(ranks, [&](ProcessGroup& group) {
      TrainerConfig config = run_config(folder.path(), 2);
      if (pairs) config.preference = PreferenceConfig{};
      Run run(config, group, {.tensor_parallel = slices});
      std::vector<Batch> packs;
      PackStream stream = run.packs(config);
      for (int i = 0; i < 3; ++i) packs.push_back(stream.next());
      run.trainer.set_heldout({run.examples, packs});
      const double loss = run.trainer.heldout_loss().mean();
      if (group.rank() == 0) losses.push_back(loss);
    });
    CHECK(failures == std::vector<std::string>(static_cast<std::size_t>(ranks)));
  }
  REQUIRE(losses.size() == 5);
  CHECK(losses[0] > 0);
  for (const double loss : losses) CHECK(loss == Approx(losses[0]).epsilon(1e-6));
}

TEST_CASE("a loss that is not finite on one rank skips the step on all") {
  const TempFolder folder;
  const auto failures = run_ranks(2, [&](ProcessGroup& group) {
    std::vector<Example> rows = read_golden_case("lora").examples;
    rows[1].weight.back() = std::numeric_limits<float>::infinity();
    Run run(run_config(folder.path(), 2), group, {}, rows);
    // Pack 1 is rank 1's.
    Batch good{{0}, {0, static_cast<std::int64_t>(run.examples[0].size())}};
    Batch bad{{1}, {0, static_cast<std::int64_t>(run.examples[1].size())}};
    const at::Tensor before = run.model.parameters().values().clone();
    const StepReport report = run.trainer.train_step(std::vector<Batch>{good, bad});
    require(report.skipped, "not skipped");
    require(at::equal(before, run.model.parameters().values()), "changed");
  });
  CHECK(failures == std::vector<std::string>(2));
}
