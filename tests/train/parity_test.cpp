#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <catch2/catch.hpp>

#include "golden_case.h"
#include "reflect/model/safetensors.h"
#include "temp_folder.h"

using namespace reflect;

namespace {

void check_curve(const std::string& name, bool lora, TunedModel& model) {
  const GoldenCase golden = read_golden_case(name);
  REQUIRE(golden.steps.size() == 10);
  REQUIRE(model.lora() == lora);
  const TempFolder folder;
  Trainer trainer(golden_config(golden, folder.path()), model, golden.examples, no_packs());
  for (std::size_t step = 0; step < golden.steps.size(); ++step) {
    const StepReport report = trainer.train_step(golden.steps[step]);
    const auto& expected = golden.curve[step];
    CAPTURE(step);
    CHECK(report.learning_rate == Approx(expected["lr"].get<double>()).margin(1e-15));
    CHECK(report.loss.mean() == Approx(expected["loss"].get<double>()).epsilon(1e-5));
    CHECK(report.gradient_norm == Approx(expected["grad_norm"].get<double>()).epsilon(1e-5));
  }
}

}  // namespace

TEST_CASE("ten LoRA steps equal those of transformers and peft") {
  TunedModel model(golden_model(true), Runtime{});
  check_curve("lora", true, model);
  const SafetensorsFile expected(REFLECT_SOURCE_DIR "/tests/golden/train/lora_final.safetensors");
  CHECK(expected.names().size() == model.parameters().parameters().size());
  for (const Parameter& p : model.parameters().parameters()) {
    CAPTURE(p.name);
    const at::Tensor wanted = expected.view(p.name);
    CHECK((p.tensor - wanted).abs().max().item<double>() < 2e-6);
  }
}

TEST_CASE("ten LoRA steps with recomputed blocks equal those of transformers and peft") {
  TunedModelOptions options = golden_model(true);
  options.recompute = Recompute::kBlock;
  TunedModel model(options, Runtime{});
  check_curve("lora", true, model);
}

TEST_CASE("ten steps of full fine-tuning equal those of transformers") {
  TunedModel model(golden_model(false), Runtime{});
  check_curve("full", false, model);
}
