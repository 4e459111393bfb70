// The golden runs of scripts/golden/train.py as examples and packs of the trainer.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "reflect/base/file.h"
#include "reflect/train/trainer.h"

namespace reflect {

inline const std::string kGoldenModel = REFLECT_SOURCE_DIR "/tests/golden/model/llama3";

struct GoldenCase {
  nlohmann::json hyper, curve;
  std::vector<Example> examples;
  std::vector<std::vector<Batch>> steps;  // packs of each step
};

inline GoldenCase read_golden_case(const std::string& name) {
  const auto json =
      nlohmann::json::parse(read_file(REFLECT_SOURCE_DIR "/tests/golden/train/" + name + ".json"));
  GoldenCase golden{json["hyper"], json["curve"], {}, {}};
  for (const auto& step : json["steps"]) {
    std::vector<Batch>& packs = golden.steps.emplace_back();
    for (const auto& rows : step["batches"]) {
      Batch& pack = packs.emplace_back(Batch{{}, {0}});
      for (const auto& row : rows) {
        Example example;
        example.row_id = "row-" + std::to_string(golden.examples.size());
        example.input_ids = row["ids"].get<std::vector<std::int32_t>>();
        example.weight = row["weight"].get<std::vector<float>>();
        example.span_type.assign(example.size(), static_cast<std::int8_t>(SpanType::kThinking));
        pack.row_index.push_back(static_cast<std::int64_t>(golden.examples.size()));
        pack.offsets.push_back(pack.offsets.back() + static_cast<std::int64_t>(example.size()));
        golden.examples.push_back(std::move(example));
      }
    }
  }
  return golden;
}

// The steps of the case "lora" with the losses of another method.
inline GoldenCase read_golden_variant(const std::string& name) {
  GoldenCase golden = read_golden_case("lora");
  golden.curve = nlohmann::json::parse(
      read_file(REFLECT_SOURCE_DIR "/tests/golden/train/" + name + ".json"))["curve"];
  return golden;
}

inline TrainerConfig golden_config(const GoldenCase& golden, const std::string& output) {
  TrainerConfig config;
  config.output = output;
  config.length.steps = static_cast<std::int64_t>(golden.curve.size());
  config.optimizer = {.lr = golden.hyper["lr"],
                      .beta1 = golden.hyper["beta1"],
                      .beta2 = golden.hyper["beta2"],
                      .eps = golden.hyper["eps"],
                      .weight_decay = golden.hyper["weight_decay"]};
  config.schedule.warmup_steps = golden.hyper["warmup_steps"];
  config.clip = golden.hyper["clip"];
  config.quiet = true;
  return config;
}

inline TunedModelOptions golden_model(bool lora) {
  return {.folder = kGoldenModel,
          .lora = lora,
          .initial_adapter = lora ? kGoldenModel + "/adapter" : ""};
}

// A plan of no rows, for trainers that are given their packs by hand.
inline PackStream no_packs() {
  return PackStream(PackPlan({}, {}));
}

}  // namespace reflect
