#include "reflect/train/trainer.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <sstream>

#include "golden_case.h"
#include "reflect/base/error.h"
#include "temp_folder.h"
#include "tensor_memory.h"
#include "train/preflight.h"

using namespace reflect;

namespace {

std::int64_t length_of(const Example& example) {
  return static_cast<std::int64_t>(example.size());
}

Batch pack_of(const std::vector<Example>& examples, const std::vector<std::int64_t>& rows) {
  Batch batch{rows, {0}};
  for (const std::int64_t row : rows)
    batch.offsets.push_back(batch.offsets.back() + length_of(examples[row]));
  return batch;
}

at::Tensor nll_of(TunedModel& model, const std::vector<Example>& examples, const Batch& batch) {
  const at::NoGradGuard no_grad;
  const PackInputs inputs = pack_inputs(examples, batch, at::kCPU);
  return pack_loss(model.llama(), inputs, model.forward_options(), 1).nll;
}

// A run over the golden rows: 10 steps of two packs, in several epochs.
TrainerConfig run_config(const std::string& output) {
  TrainerConfig config;
  config.output = output;
  config.length = {.steps = 10, .packs = 20, .tokens = 1};
  config.packs_per_step = 2;
  config.optimizer.lr = 1e-3;
  config.schedule.warmup_steps = 2;
  config.quiet = true;
  config.identity = {{"seed", "0"}};
  return config;
}

PackStream packs_of(const std::vector<Example>& examples) {
  std::vector<std::int64_t> lengths;
  for (const Example& example : examples) lengths.push_back(length_of(example));
  return PackStream(PackPlan(lengths, {.capacity = 256, .window = 16, .seed = 1}));
}

// While it lives, a file that grows beyond `bytes` gives an error, as a full disk does.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, SIG_DFL);
  }

 private:
  rlimit before_{};
};

std::string folder_bytes(const std::string& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    files[entry.path().filename()] = read_file(entry.path());
  std::string bytes;
  for (const auto& [name, content] : files) bytes += name + "\n" + content + "\n";
  return bytes;
}

TunedModelOptions tuned(bool lora, double dropout) {
  TunedModelOptions options{.folder = kGoldenModel, .lora = lora};
  options.lora_config.rank = 4;
  options.lora_config.dropout = dropout;
  return options;
}

}  // namespace

TEST_CASE("packed loss equals the loss of the rows one by one") {
  const std::vector<Example> examples = read_golden_case("lora").examples;
  TunedModel model(golden_model(true), Runtime{});
  const at::Tensor packed = nll_of(model, examples, pack_of(examples, {0, 1, 2, 3, 4}));
  std::vector<at::Tensor> apart;
  for (std::int64_t row = 0; row < 5; ++row)
    apart.push_back(nll_of(model, examples, pack_of(examples, {row})));
  CHECK(at::allclose(packed, at::cat(apart), 1e-5, 1e-5));
}

TEST_CASE("packing does not leak: another row's content changes no other row's loss at all") {
  std::vector<Example> examples = read_golden_case("lora").examples;
  TunedModel model(golden_model(true), Runtime{});
  const Batch batch = pack_of(examples, {0, 1, 2});
  const at::Tensor before = nll_of(model, examples, batch);
  std::vector<Example> changed = examples;
  for (std::int32_t& id : changed[1].input_ids) id = (id + 17) % 300;
  const at::Tensor after = nll_of(model, changed, batch);
  const auto trained = [&](std::size_t row) {
    return std::ranges::count_if(examples[row].weight, [](float w) { return w > 0; });
  };
  const std::int64_t second = trained(0), third = second + trained(1);
  CHECK(at::equal(before.slice(0, 0, second), after.slice(0, 0, second)));
  CHECK(at::equal(before.slice(0, third), after.slice(0, third)));
  CHECK_FALSE(at::equal(before.slice(0, second, third), after.slice(0, second, third)));
}

TEST_CASE("a run whose rows would leak into each other in a pack is refused") {
  const std::vector<Example> examples = read_golden_case("lora").examples;
  TunedModel model(golden_model(true), Runtime{});
  Batch batch = pack_of(examples, {0, 1});
  CHECK_NOTHROW(check_packing(model, examples, batch));
  batch.offsets.erase(batch.offsets.begin() + 1);  // the second row goes on from the first
  CHECK_THROWS_WITH(check_packing(model, examples, batch),
                    Catch::Contains("rows leak into each other"));
}

TEST_CASE("accumulated packs give the loss and gradient of one big pack") {
  const std::vector<Example> examples = read_golden_case("lora").examples;
  const TempFolder folder;
  const auto one_step = [&](const std::vector<Batch>& packs) {
    TunedModel model(golden_model(true), Runtime{});
    Trainer trainer(run_config(folder.path()), model, examples, no_packs());
    return trainer.train_step(packs);
  };
  // The packs have very different numbers of trained tokens: a mean of means would differ.
  const StepReport whole = one_step({pack_of(examples, {0, 1, 2, 3, 4, 5})});
  const StepReport parts =
      one_step({pack_of(examples, {0}), pack_of(examples, {1, 2, 3, 4}), pack_of(examples, {5})});
  CHECK(parts.loss.mean() == Approx(whole.loss.mean()).epsilon(1e-6));
  CHECK(parts.gradient_norm == Approx(whole.gradient_norm).epsilon(1e-5));
  CHECK(parts.tokens == whole.tokens);
}

TEST_CASE("losses by span type add up to the loss") {
  std::vector<Example> examples = read_golden_case("lora").examples;
  for (std::size_t i = 0; i < examples[0].size(); ++i) {
    examples[0].span_type[i] =
        static_cast<std::int8_t>(i % 2 == 0 ? SpanType::kReflection : SpanType::kOutput);
    examples[0].weight[i] = i > 3;
  }
  examples[0].span_type.back() = -1;  // the end of the turn
  TunedModel model(golden_model(true), Runtime{});
  const PackInputs inputs = pack_inputs(examples, pack_of(examples, {0}), at::kCPU);
  LossSums sums;
  sums.add(inputs, nll_of(model, examples, pack_of(examples, {0})));
  double total = 0;
  for (const double nll : sums.nll) total += nll;
  CHECK(total == Approx(sums.weighted));
  CHECK(sums.trained_tokens() == length_of(examples[0]) - 4);
}

TEST_CASE("an interrupted run ends with the bytes of an undisturbed one") {
  const bool lora = GENERATE(true, false);
  const double dropout = lora ? GENERATE(0.0, 0.1) : 0.0;
  const at::ScalarType dtype = GENERATE(at::kFloat, at::kBFloat16);
  CAPTURE(lora, dropout, c10::toString(dtype));
  const std::vector<Example> examples = read_golden_case("lora").examples;
  const Runtime runtime{dtype, at::kCPU};
  const TempFolder whole, parts;
  const auto result_of = [](Trainer& trainer, const TempFolder& folder) {
    trainer.save();
    return folder_bytes(folder / "checkpoints/step-10");
  };

  TunedModel undisturbed(tuned(lora, dropout), runtime);
  Trainer straight(run_config(whole.path()), undisturbed, examples, packs_of(examples));
  REQUIRE(straight.run() == 0);

  {
    TunedModel model(tuned(lora, dropout), runtime);
    Trainer trainer(run_config(parts.path()), model, examples, packs_of(examples));
    trainer.run_steps(4);
    trainer.save();
    trainer.run_steps(2);  // lost: never saved
  }
  TunedModel model(tuned(lora, dropout), runtime);
  Trainer trainer(run_config(parts.path()), model, examples, packs_of(examples));
  REQUIRE(trainer.resume());
  REQUIRE(trainer.state().step == 4);
  REQUIRE(trainer.run() == 0);
  CHECK(result_of(trainer, parts) == result_of(straight, whole));
}

TEST_CASE("resumed at any of its ten steps, a run ends with the bytes of an undisturbed one") {
  const bool lora = GENERATE(true, false);
  const at::ScalarType dtype = GENERATE(at::kFloat, at::kBFloat16);
  CAPTURE(lora, c10::toString(dtype));
  const std::vector<Example> examples = read_golden_case("lora").examples;
  const Runtime runtime{dtype, at::kCPU};
  const TunedModelOptions options = tuned(lora, lora ? 0.1 : 0.0);
  const TempFolder whole;
  TunedModel undisturbed(options, runtime);
  TrainerConfig config = run_config(whole.path());
  config.save_every = 1;
  config.keep_checkpoints = 10;
  Trainer straight(config, undisturbed, examples, packs_of(examples));
  REQUIRE(straight.run() == 0);
  straight.save();
  const std::string expected = folder_bytes(whole / "checkpoints/step-10");

  TunedModel model(options, runtime);
  for (int step = 1; step < 10; ++step) {
    CAPTURE(step);
    const TempFolder part;
    const std::string checkpoint = fmt::format("/checkpoints/step-{}", step);
    std::filesystem::create_directories(part.path() + checkpoint);
    std::filesystem::copy(whole.path() + checkpoint, part.path() + checkpoint);
    Trainer trainer(run_config(part.path()), model, examples, packs_of(examples));
    REQUIRE(trainer.resume());
    REQUIRE(trainer.state().step == step);
    REQUIRE(trainer.run() == 0);
    trainer.save();
    CHECK(folder_bytes(part / "checkpoints/step-10") == expected);
  }
}

TEST_CASE("a save takes the memory of one copy of what is trained, however often") {
  const bool lora = GENERATE(true, false);
  CAPTURE(lora);
  const std::vector<Example> examples = read_golden_case("lora").examples;
  const TempFolder folder;
  TunedModel model(tuned(lora, 0), Runtime{});
  Trainer trainer(run_config(folder.path()), model, examples, packs_of(examples));
  trainer.run_steps(1);
  const auto state = 3 * static_cast<std::int64_t>(model.parameters().values().nbytes());
  const TensorMemory memory;
  trainer.save();
  CHECK(memory.peak() >= state);  // values and two moments
  CHECK(memory.peak() < state * 11 / 10);
  const std::int64_t held = memory.bytes();
  const TensorMemory again;
  trainer.save();
  CHECK(again.peak() < held / 10);
}

TEST_CASE("a model is written in another type without a copy of it in memory") {
  const TempFolder folder;
  TunedModel model(tuned(false, 0), Runtime{});
  const auto all = 2 * model.parameters().count();
  std::int64_t largest = 0;
  for (const Parameter& parameter : model.parameters().parameters())
    largest = std::max(largest, 2 * parameter.tensor.numel());
  const TensorMemory memory;
  model.write(folder.path(), at::kBFloat16);
  CHECK(memory.peak() >= largest);
  CHECK(memory.peak() < largest + all / 10);
}

TEST_CASE("MFU counts the model FLOPs of the specification, each row by its own length") {
  const std::vector<Example> examples = read_golden_case("lora").examples;
  const TempFolder folder;
  const bool lora = GENERATE(true, false);
  TunedModel model(tuned(lora, 0), Runtime{});
  TrainerConfig config = run_config(folder.path());
  config.peak_flops = 1e12;
  Trainer trainer(config, model, examples, packs_of(examples));
  const LlamaConfig& shape = model.llama().config();
  std::int64_t weights = shape.vocab_size * shape.hidden_size;  // the output matrix
  for (const Projection p : kProjections) {
    const auto [out, in] = shape_of(shape, p);
    weights += shape.num_hidden_layers * out * in;
  }
  const double norms = static_cast<double>((2 * shape.num_hidden_layers + 1) * shape.hidden_size);
  double expected = 0;
  for (const std::size_t row : {0u, 1u, 2u}) {
    const auto tokens = static_cast<double>(examples[row].size());
    const auto attention = static_cast<double>(6 * shape.num_hidden_layers *
                                               shape.num_attention_heads * shape.head_dim);
    expected +=
        tokens * ((lora ? 4 : 6) * (static_cast<double>(weights) + norms) + attention * tokens);
  }
  const StepReport report =
      trainer.train_step(std::vector<Batch>{pack_of(examples, {0, 1}), pack_of(examples, {2})});
  CHECK(report.flops == Approx(expected));
  trainer.run_steps(1);
  const auto line = nlohmann::json::parse(read_file(folder / "metrics.jsonl"));
  CHECK(line["mfu"].get<double>() > 0);
  CHECK(line["seconds_left"] == 0);  // of a run that is over its tokens
}

TEST_CASE("measuring held-out rows tells their loss and changes no bit of the run") {
  const std::vector<Example> examples = read_golden_case("lora").examples;
  const TempFolder plain, measured;
  const std::vector<Batch> packs = {pack_of(examples, {0, 1}), pack_of(examples, {2})};
  TunedModel undisturbed(tuned(true, 0.1), Runtime{}), model(tuned(true, 0.1), Runtime{});
  const double before =
      nll_of(model, examples, pack_of(examples, {0, 1, 2}))
          .dot(pack_inputs(examples, pack_of(examples, {0, 1, 2}), at::kCPU).weights)
          .item<double>();
  Trainer(run_config(plain.path()), undisturbed, examples, packs_of(examples)).run();
  TrainerConfig config = run_config(measured.path());
  config.heldout_every = 4;
  config.keep_best = 1;
  Trainer trainer(config, model, examples, packs_of(examples));
  trainer.set_heldout({examples, packs});
  trainer.run();
  CHECK(at::equal(model.parameters().values(), undisturbed.parameters().values()));

  std::map<std::int64_t, nlohmann::json> heldout;
  std::istringstream text(read_file(measured / "metrics.jsonl"));
  for (std::string line; std::getline(text, line);) {
    const auto json = nlohmann::json::parse(line);
    if (json.contains("heldout")) heldout[json["step"]] = json["heldout"];
  }
  REQUIRE(heldout.size() == 4);
  std::int64_t best = 0;
  for (const std::int64_t step : {0, 4, 8, 10}) {
    REQUIRE(heldout.contains(step));
    CHECK(heldout[step]["loss_by_span"].contains("thinking"));
    if (best == 0 || heldout[step]["loss"] < heldout[best]["loss"]) best = step;
  }
  const LossSums now = trainer.heldout_loss();
  CHECK(heldout[10]["loss"] == now.mean());
  CHECK(heldout[0]["loss"].get<double>() == Approx(before / now.weight).epsilon(1e-6));
  // No checkpoint was due but that of the lowest loss.
  CHECK(CheckpointStore(measured / "checkpoints", {}).best() ==
        fmt::format("{}/step-{}", measured / "checkpoints", best));
}

TEST_CASE("a full disk at save is a clear error and the last good checkpoint stays") {
  const std::vector<Example> examples = read_golden_case("lora").examples;
  const TempFolder folder;
  TunedModel model(tuned(true, 0), Runtime{});
  Trainer trainer(run_config(folder.path()), model, examples, packs_of(examples));
  trainer.run_steps(2);
  trainer.save();
  trainer.run_steps(1);
  {
    const FileSizeLimit limit(20000);
    REQUIRE_THROWS_WITH(trainer.save(), Catch::Contains("step 3 could not be saved") &&
                                            Catch::Contains("last good checkpoint"));
  }
  TunedModel fresh(tuned(true, 0), Runtime{});
  Trainer next(run_config(folder.path()), fresh, examples, packs_of(examples));
  REQUIRE(next.resume());
  CHECK(next.state().step == 2);
}

TEST_CASE("a checkpoint that is written while training goes on is of the step that it names") {
  const bool lora = GENERATE(true, false);
  const std::vector<Example> examples = read_golden_case("lora").examples;
  const TempFolder behind, between;
  for (const auto& [folder, save_behind] : {std::pair{&behind, true}, std::pair{&between, false}}) {
    TunedModel model(tuned(lora, 0), Runtime{});
    TrainerConfig config = run_config(folder->path());
    config.save_every = 1;
    config.keep_checkpoints = 10;
    config.save_behind = save_behind;
    Trainer trainer(config, model, examples, packs_of(examples));
    trainer.run();
  }
  for (int step = 1; step < 10; ++step) {
    CAPTURE(step);
    const std::string name = fmt::format("checkpoints/step-{}", step);
    CHECK(folder_bytes(behind / name) == folder_bytes(between / name));
  }
}

TEST_CASE("a checkpoint is written when its seconds have passed since the last, and not before") {
  const std::vector<Example> examples = read_golden_case("lora").examples;
  const bool passed = GENERATE(true, false);
  const TempFolder folder;
  TunedModel model(tuned(true, 0), Runtime{});
  TrainerConfig config = run_config(folder.path());
  config.save_seconds = passed ? 1e-6 : 3600;
  config.keep_checkpoints = 10;
  Trainer trainer(config, model, examples, packs_of(examples));
  trainer.run();
  for (int step = 1; step <= 10; ++step) {
    CAPTURE(step);
    CHECK(std::filesystem::exists(folder / fmt::format("checkpoints/step-{}", step)) == passed);
  }
}

TEST_CASE("a disk that is full while training goes on ends it, and the last checkpoint stays") {
  const std::vector<Example> examples = read_golden_case("lora").examples;
  const TempFolder folder;
  TunedModel model(tuned(true, 0), Runtime{});
  TrainerConfig config = run_config(folder.path());
  config.save_every = 5;
  Trainer trainer(config, model, examples, packs_of(examples));
  trainer.run_steps(1);
  trainer.save();
  {
    const FileSizeLimit limit(20000);
    REQUIRE_THROWS_WITH(trainer.run(), Catch::Contains("step 5 could not be saved") &&
                                           Catch::Contains("last good checkpoint is") &&
                                           Catch::Contains("step-1"));
  }
  CHECK(trainer.state().step >= 5);
  TunedModel fresh(tuned(true, 0), Runtime{});
  Trainer next(run_config(folder.path()), fresh, examples, packs_of(examples));
  REQUIRE(next.resume());
  CHECK(next.state().step == 1);
}

TEST_CASE("a loss that is not finite skips the step, and too many in a row end the run") {
  const std::vector<Example> examples = read_golden_case("lora").examples;
  const TempFolder folder;
  TunedModel model(golden_model(true), Runtime{});
  TrainerConfig config = run_config(folder.path());
  config.optimizer.lr = 1e30;
  config.max_skipped_steps = 3;
  config.schedule = {.type = "constant", .warmup_ratio = 0};
  Trainer trainer(config, model, examples, packs_of(examples));
  REQUIRE_THROWS_WITH(trainer.run(),
                      Catch::Contains("3 steps in a row") && Catch::Contains("row-"));
  CHECK(trainer.state().skipped_steps == 3);
  CHECK(trainer.state().step == 4);
}
