// Preference training against TRL: losses, rewards and the gradient of every LoRA matrix; pairs.
#include "reflect/train/preference.h"

#include <ATen/TensorOperators.h>

#include <catch2/catch.hpp>

#include "golden_case.h"
#include "reflect/base/error.h"
#include "reflect/data/chat.h"
#include "reflect/train/training_data.h"
#include "temp_folder.h"

using namespace reflect;

namespace {

const std::string kGoldenPairs = REFLECT_SOURCE_DIR "/tests/golden/dpo/";

nlohmann::json golden_json() {
  return nlohmann::json::parse(read_file(kGoldenPairs + "dpo.json"));
}

// Chosen and rejected response of each golden pair, one after the other.
std::vector<Example> golden_pairs(const nlohmann::json& golden) {
  std::vector<Example> examples;
  for (const auto& pair : golden["pairs"])
    for (const char* side : {"chosen", "rejected"}) {
      Example& example = examples.emplace_back();
      example.row_id = "pair-" + std::to_string(examples.size() / 2);
      example.input_ids = pair[side].get<std::vector<std::int32_t>>();
      example.span_type.assign(example.size(), static_cast<std::int8_t>(SpanType::kThinking));
      example.weight.assign(example.size(), 1);
      std::fill_n(example.weight.begin(), pair["prompt"].get<std::size_t>(), 0.0f);
    }
  return examples;
}

std::vector<std::int64_t> lengths_of(const std::vector<Example>& examples) {
  std::vector<std::int64_t> lengths;
  for (const Example& example : examples)
    lengths.push_back(static_cast<std::int64_t>(example.size()));
  return lengths;
}

// The golden adapter in training, the base being the reference.
TunedModel golden_tuned() {
  TunedModel model({.folder = kGoldenModel, .lora_config = {.rank = 4, .alpha = 6}}, Runtime{});
  model.load_values(kGoldenModel + "/adapter");
  return model;
}

struct Step {
  StepReport report;
  std::vector<NamedTensor> gradients;
};

Step one_step(const nlohmann::json& golden, const PreferenceConfig& preference,
              std::int64_t capacity) {
  const std::vector<Example> examples = golden_pairs(golden);
  const std::vector<Batch> packs =
      PackPlan(lengths_of(examples), {.capacity = capacity, .rows_per_item = 2}).epoch(0);
  const TempFolder folder;
  TunedModel model = golden_tuned();
  TrainerConfig config;
  config.output = folder.path();
  config.length.steps = 1;
  config.preference = preference;
  config.clip = 0;
  Trainer trainer(config, model, examples, no_packs());
  Step step{trainer.train_step(packs), {}};
  ParameterBuffer& parameters = model.parameters();
  for (const Parameter& p : parameters.parameters())
    step.gradients.push_back({p.name, parameters.view(parameters.gradients(), p).clone()});
  return step;
}

TrainingData load(const std::string& rows) {
  const TempFolder folder;
  write_file_atomic(folder / "pairs.jsonl", rows);
  const auto tokenizer = load_tokenizer(kGoldenModel);
  return load_training_data(
      {.files = {folder / "pairs.jsonl"}, .preset = "all", .max_seq_length = 64, .kind = "dpo"},
      ChatTemplate::choose("auto", kGoldenModel), *tokenizer);
}

}  // namespace

TEST_CASE("preference losses, rewards and gradients equal those of TRL") {
  const nlohmann::json golden = golden_json();
  const SafetensorsFile gradients(kGoldenPairs + "gradients.safetensors");
  const std::int64_t capacity = GENERATE(4096, 100);  // one pack, and several
  for (const auto& expected : golden["cases"]) {
    const std::string name = expected["name"];
    CAPTURE(name, capacity);
    const Step step =
        one_step(golden, {expected["form"], expected["beta"], expected["sft_weight"]}, capacity);
    const PreferenceSums& sums = step.report.loss.preference;
    const auto pairs = static_cast<double>(sums.pairs);
    CHECK(pairs == golden["pairs"].size());
    CHECK(step.report.loss.mean() == Approx(expected["loss"].get<double>()).epsilon(1e-5));
    // A reward is a small difference of log-probabilities of about -200, which TRL adds up and then
    // subtracts in fp32; ours are subtracted token by token.
    CHECK(sums.chosen_reward / pairs ==
          Approx(expected["chosen_reward"].get<double>()).epsilon(2e-5));
    CHECK(sums.rejected_reward / pairs ==
          Approx(expected["rejected_reward"].get<double>()).epsilon(2e-5));
    CHECK(static_cast<double>(sums.right) / pairs == Approx(expected["accuracy"].get<double>()));
    std::string named = name;
    for (const NamedTensor& t : step.gradients) {
      const at::Tensor wanted = gradients.view(named + "." + t.name);
      INFO(t.name);
      CHECK(((t.tensor - wanted).norm() / wanted.norm()).item<double>() <= 1e-5);
    }
  }
}

TEST_CASE("an adapter that training goes on from is its own reference") {
  const nlohmann::json golden = golden_json();
  const std::vector<Example> examples = golden_pairs(golden);
  const TempFolder folder;
  TunedModel model({.folder = kGoldenModel, .initial_adapter = kGoldenModel + "/adapter"},
                   Runtime{});
  TrainerConfig config;
  config.output = folder.path();
  config.length.steps = 2;
  config.optimizer.lr = 1e-2;
  config.schedule.type = "constant";
  config.schedule.warmup_ratio = 0;
  config.preference = PreferenceConfig{};
  Trainer trainer(config, model, examples, no_packs());
  const auto packs =
      PackPlan(lengths_of(examples), {.capacity = 4096, .rows_per_item = 2}).epoch(0);
  const StepReport first = trainer.train_step(packs);
  CHECK(first.loss.mean() == Approx(std::log(2.0)));
  CHECK(first.loss.preference.chosen_reward == Approx(0).margin(1e-5));
  const StepReport second = trainer.train_step(packs);
  CHECK(second.loss.mean() < first.loss.mean());
}

TEST_CASE("pairs stay together in every pack") {
  const std::vector<std::int64_t> lengths = {5, 7, 30, 2, 8, 8, 1, 20, 9, 9};
  const PackPlan plan(lengths, {.capacity = 40, .window = 3, .rows_per_item = 2, .seed = 3});
  CHECK(plan.longest() == 32);
  std::vector<std::int64_t> seen;
  for (const Batch& batch : plan.epoch(1)) {
    CHECK(batch.tokens() <= 40);
    for (std::size_t i = 0; i < batch.row_index.size(); ++i) {
      const std::int64_t row = batch.row_index[i];
      if (i % 2 == 1) CHECK(row == batch.row_index[i - 1] + 1);
      CHECK(batch.offsets[i + 1] - batch.offsets[i] == lengths[static_cast<std::size_t>(row)]);
      seen.push_back(row);
    }
  }
  std::ranges::sort(seen);
  CHECK(seen == std::vector<std::int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
}

TEST_CASE("all spellings of a pair give the same examples") {
  const TrainingData data = load(
      R"({"prompt": "2+2?", "chosen": "4", "rejected": "5"}
{"messages": [{"role": "user", "content": "2+2?"}], "chosen": "4", "rejected": "5"}
{"prompt": [{"role": "user", "content": "2+2?"}], "chosen": [{"role": "assistant", "content": "4"}], "rejected": [{"role": "assistant", "content": "5"}]}
{"chosen": [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}], "rejected": [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "5"}]}
)");
  REQUIRE(data.examples.size() == 8);
  CHECK(data.dropped.empty());
  for (std::size_t i = 2; i < data.examples.size(); ++i) {
    CHECK(data.examples[i].input_ids == data.examples[i % 2].input_ids);
    CHECK(data.examples[i].weight == data.examples[i % 2].weight);
  }
  CHECK(data.examples[0].input_ids != data.examples[1].input_ids);
}

TEST_CASE("pairs that cannot be trained on are counted by reason") {
  const std::string good = R"({"prompt": "a?", "chosen": "b", "rejected": "c"})";
  const TrainingData data = load(good + "\n" + R"({"prompt": "a?", "chosen": "b"}
{"prompt": "a?", "chosen": "b", "rejected": "b"}
{"prompt": "a?", "chosen": "b", "rejected": 3}
not json
{"prompt": "a?", "chosen": "b", "rejected": ")" +
                                 std::string(400, 'x') + "\"}\n");
  CHECK(data.rows == 6);
  CHECK(data.examples.size() == 2);
  CHECK(data.dropped.at("malformed") == 3);
  CHECK(data.dropped.at("same_response") == 1);
  CHECK(data.dropped.at("too_long") == 1);
  REQUIRE(data.malformed.size() == 1);
  CHECK_THAT(data.malformed[0], Catch::Contains("line 2: the field 'rejected' is missing"));
  CHECK_THROWS_WITH(load("{}\n"), Catch::Contains("1 malformed") &&
                                      Catch::Contains("line 1: the field 'chosen' is missing"));
}
