// The merged checkpoint computes what base + adapter compute.
#include "reflect/model/merge.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <c10/core/InferenceMode.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "reflect/model/llama.h"
#include "temp_folder.h"

using namespace reflect;

namespace {

const std::string kModel = REFLECT_SOURCE_DIR "/tests/golden/model/llama3";

MergeConfig config_for(const std::string& output) {
  MergeConfig config;
  config.model = kModel;
  config.adapter = kModel + "/adapter";
  config.output = output;
  return config;
}

}  // namespace

TEST_CASE("merged logits equal peft's adapter logits") {
  const TempFolder folder;
  MergeConfig config = config_for(folder / "merged");
  SECTION("one file") {}
  SECTION("many files") {
    config.max_shard_bytes = 50'000;
  }
  REQUIRE(merge(config) == ExitCode::kDone);
  CHECK(std::filesystem::exists(folder / "merged/tokenizer.json"));
  CHECK_FALSE(std::filesystem::exists(folder / "merged.partial"));

  const c10::InferenceMode guard;
  const SafetensorsFile expected(kModel + "/expected.safetensors");
  const auto model = load_llama(folder / "merged", {at::kFloat, at::kCPU});
  const at::Tensor ids = expected.view("ids").reshape({-1});
  const at::Tensor logits = model->logits(model->hidden(ids, {{0, 48, 96}, {}, {}}));
  const at::Tensor wanted = expected.view("adapter_logits").view(logits.sizes());
  CHECK((logits - wanted).abs().max().item<double>() <= 1e-4);
}

TEST_CASE("what an interrupted merge left is replaced, another folder of that name stays") {
  const TempFolder folder;
  const MergeConfig config = config_for(folder / "merged");
  make_folder(folder / "merged.partial");
  write_file_atomic(folder / "merged.partial/model.safetensors", "a user's");
  CHECK_THROWS_WITH(merge(config), Catch::Contains(folder / "merged.partial is needed"));
  CHECK(read_file(folder / "merged.partial/model.safetensors") == "a user's");
  write_file_atomic(folder / "merged.partial/.reflect-merge", "");
  REQUIRE(merge(config) == ExitCode::kDone);
  CHECK_FALSE(std::filesystem::exists(folder / "merged.partial"));
  CHECK_FALSE(std::filesystem::exists(folder / "merged/.reflect-merge"));
}

TEST_CASE("merge refuses what it cannot do") {
  const TempFolder folder;
  MergeConfig config = config_for(folder.path());
  SECTION("a folder that holds something") {
    write_file_atomic(folder / "precious.txt", "keep");
    CHECK_THROWS_WITH(merge(config), Catch::Contains("not empty"));
    CHECK(read_file(folder / "precious.txt") == "keep");
  }
  SECTION("an adapter of another base") {
    config.model = REFLECT_SOURCE_DIR "/tests/golden/model/llama2";
    config.output = folder / "merged";
    CHECK_THROWS_WITH(merge(config), Catch::Contains("another base"));
    CHECK_FALSE(std::filesystem::exists(folder / "merged"));
  }
  SECTION("a missing flag") {
    config.adapter.clear();
    CHECK_THROWS_WITH(merge(config), Catch::Contains("--adapter"));
  }
}
