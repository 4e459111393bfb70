#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <catch2/catch.hpp>

#include "golden_case.h"
#include "reflect/model/safetensors.h"
#include "temp_folder.h"

using namespace reflect;

namespace {

void check_curve(const GoldenCase& golden, TunedModel& model, double lora_plus_ratio = 1) {
  REQUIRE(golden.steps.size() == 10);
  const TempFolder folder;
  TrainerConfig config = golden_config(golden, folder.path());
  config.optimizer.lora_plus_ratio = lora_plus_ratio;
  Trainer trainer(config, model, golden.examples, no_packs());
  for (std::size_t step = 0; step < golden.steps.size(); ++step) {
    const StepReport report = trainer.train_step(golden.steps[step]);
    const auto& expected = golden.curve[step];
    CAPTURE(step);
    CHECK(report.learning_rate == Approx(expected["lr"].get<double>()).margin(1e-15));
    CHECK(report.loss.mean() == Approx(expected["loss"].get<double>()).epsilon(1e-5));
    CHECK(report.gradient_norm == Approx(expected["grad_norm"].get<double>()).epsilon(1e-5));
  }
}

void check_final(const std::string& name, TunedModel& model) {
  const SafetensorsFile expected(REFLECT_SOURCE_DIR "/tests/golden/train/" + name +
                                 "_final.safetensors");
  CHECK(expected.names().size() == model.parameters().parameters().size());
  for (const Parameter& p : model.parameters().parameters()) {
    CAPTURE(p.name);
    const at::Tensor wanted = expected.view(p.name);
    CHECK((p.tensor - wanted).abs().max().item<double>() < 2e-6);
  }
}

}  // namespace

TEST_CASE("ten LoRA steps equal those of transformers and peft") {
  TunedModel model(golden_model(true), Runtime{});
  check_curve(read_golden_case("lora"), model);
  check_final("lora", model);
}

TEST_CASE("ten LoRA+ steps equal those of peft's optimizer") {
  TunedModel model(golden_model(true), Runtime{});
  check_curve(read_golden_variant("lora_plus"), model, 4);
}

TEST_CASE("ten rsLoRA steps equal those of peft") {
  TunedModelOptions options = golden_model(true);
  options.initial_adapter = REFLECT_SOURCE_DIR "/tests/golden/train/rslora_adapter";
  TunedModel model(options, Runtime{});
  check_curve(read_golden_variant("rslora"), model);
}

TEST_CASE("ten DoRA steps equal those of peft, with blocks kept or recomputed") {
  TunedModelOptions options = golden_model(true);
  options.initial_adapter = REFLECT_SOURCE_DIR "/tests/golden/train/dora_adapter";
  options.recompute = GENERATE(Recompute::kNone, Recompute::kBlock);
  TunedModel model(options, Runtime{});
  check_curve(read_golden_variant("dora"), model);
  check_final("dora", model);
}

TEST_CASE("ten LoRA steps with recomputed blocks equal those of transformers and peft") {
  TunedModelOptions options = golden_model(true);
  options.recompute = Recompute::kBlock;
  TunedModel model(options, Runtime{});
  check_curve(read_golden_case("lora"), model);
}

TEST_CASE("ten steps of full fine-tuning equal those of transformers") {
  TunedModel model(golden_model(false), Runtime{});
  check_curve(read_golden_case("full"), model);
}
