// The merged checkpoint computes what base + adapter compute.
#include "reflect/model/merge.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <c10/core/InferenceMode.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "reflect/base/file.h"
#include "reflect/model/llama.h"
#include "temp_folder.h"
#include "tensor_memory.h"

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

// A checkpoint with the depth and the names of Llama 3.1 70B, but thin, and an adapter on it.
// Returns the bytes of the adapter.
std::int64_t write_deep_model(const MergeConfig& config) {
  constexpr std::int64_t kLayers = 80;
  auto json = nlohmann::json::parse(read_file(kModel + "/config.json"));
  json.update({{"num_hidden_layers", kLayers},
               {"num_attention_heads", 64},
               {"num_key_value_heads", 8},
               {"head_dim", 2},
               {"hidden_size", 128},
               {"intermediate_size", 256},
               {"torch_dtype", "bfloat16"}});
  make_folder(config.model);
  write_file_atomic(config.model + "/config.json", json.dump());
  const LlamaConfig llama = read_llama_config(config.model);
  ResidentWeights weights(llama, {at::kBFloat16, at::kCPU}, 1);
  write_safetensors(config.model + "/model.safetensors", weights.named());
  LoraConfig lora;
  lora.rank = 1;
  lora.targets = {"q_proj", "down_proj"};
  const Adapter adapter = Adapter::fresh(llama, lora, 1);
  std::int64_t bytes = 0;
  for (const NamedTensor& named : adapter.named()) {
    named.tensor.fill_(0.01);
    bytes += static_cast<std::int64_t>(named.tensor.nbytes());
  }
  make_folder(config.adapter);
  write_adapter(config.adapter, adapter, config.model);
  return bytes;
}

}  // namespace

TEST_CASE("merging a model of 80 blocks takes the memory of one of them") {
  const TempFolder folder;
  MergeConfig config = config_for(folder / "merged");
  config.model = folder / "deep";
  config.adapter = folder / "adapter";
  config.max_shard_bytes = 4'000'000;
  const std::int64_t adapter = write_deep_model(config);
  const LlamaConfig llama = read_llama_config(config.model);
  std::int64_t block = 0;  // in fp32, as the check computes
  for (const Projection p : kProjections) {
    const auto [out, in] = shape_of(llama, p);
    block += 4 * out * in;
  }
  const std::int64_t table = 4 * llama.vocab_size * llama.hidden_size;
  const TensorMemory memory;
  REQUIRE(merge(config) == ExitCode::kDone);
  CHECK(memory.peak() > block);
  CHECK(memory.peak() < 2 * adapter + 2 * std::max(block, table));
  CHECK(memory.peak() < llama.num_hidden_layers * block / 8);
  CHECK(std::filesystem::exists(folder / "merged/model.safetensors.index.json"));
}

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
