// Malformed safetensors, configurations and adapters: a clear error each, never a crash.
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/ones.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "reflect/base/error.h"
#include "reflect/base/random.h"
#include "reflect/model/lora.h"
#include "temp_folder.h"

using namespace reflect;
using Catch::Contains;
using nlohmann::json;

namespace {

const std::string kModel = REFLECT_SOURCE_DIR "/tests/golden/model/llama3";

std::string file_bytes(const std::string& header, const std::string& data) {
  const std::uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + data;
}

// Opens a file of these bytes and views every tensor.
void open_bytes(const TempFolder& folder, const std::string& bytes) {
  write_file_atomic(folder / "x.safetensors", bytes);
  const SafetensorsFile file(folder / "x.safetensors");
  for (const std::string& name : file.names()) file.view(name).sum();
}

// A copy of the golden configuration with one change.
LlamaConfig read_changed(const TempFolder& folder, const std::function<void(json&)>& change) {
  json config = json::parse(read_file(kModel + "/config.json"));
  change(config);
  write_file_atomic(folder / "config.json", config.dump());
  return read_llama_config(folder.path());
}

}  // namespace

TEST_CASE("safetensors round trip keeps names, order of dtypes and bytes") {
  const TempFolder folder;
  const at::Tensor a = at::arange(6, at::kFloat).view({2, 3}), b = at::ones({4}, at::kBFloat16);
  write_safetensors(folder / "x.safetensors", {{"b", b}, {"a", a}});
  const SafetensorsFile file(folder / "x.safetensors");
  CHECK(file.names() == std::vector<std::string>{"a", "b"});
  CHECK(file.view("a").equal(a));
  CHECK(file.view("b").equal(b));
  CHECK_THROWS_WITH(file.view("c"), Contains("no tensor 'c'"));
}

TEST_CASE("malformed safetensors files name the fault") {
  const TempFolder folder;
  const auto entry = [](const std::string& dtype, const std::string& shape,
                        const std::string& offsets) {
    return R"({"t":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" +
           offsets + "}}";
  };
  const std::string data(16, 'x');
  CHECK_THROWS_WITH(open_bytes(folder, ""), Contains("truncated"));
  CHECK_THROWS_WITH(open_bytes(folder, "1234567"), Contains("truncated"));
  CHECK_THROWS_WITH(open_bytes(folder, std::string(8, '\xff')), Contains("header length"));
  CHECK_THROWS_WITH(open_bytes(folder, file_bytes("{", "")), Contains("unreadable header"));
  CHECK_THROWS_WITH(open_bytes(folder, file_bytes("[]", "")), Contains("not a JSON object"));
  CHECK_THROWS_WITH(open_bytes(folder, file_bytes(std::string(100000, '['), "")),
                    Contains("unreadable header"));
  CHECK_THROWS_WITH(open_bytes(folder, file_bytes(entry("F8", "[4]", "[0,16]"), data)),
                    Contains("dtype 'F8'"));
  CHECK_THROWS_WITH(open_bytes(folder, file_bytes(entry("F32", "[4]", "[0,17]"), data)),
                    Contains("outside the data section"));
  CHECK_THROWS_WITH(open_bytes(folder, file_bytes(entry("F32", "[4]", "[8,0]"), data)),
                    Contains("outside the data section"));
  CHECK_THROWS_WITH(open_bytes(folder, file_bytes(entry("F32", "[5]", "[0,16]"), data)),
                    Contains("needs other than"));
  CHECK_THROWS_WITH(open_bytes(folder, file_bytes(entry("F32", "[-4]", "[0,16]"), data)),
                    Contains("needs other than"));
  CHECK_THROWS_WITH(
      open_bytes(folder, file_bytes(entry("F32", "[4611686018427387904,4]", "[0,16]"), data)),
      Contains("needs other than"));
  CHECK_THROWS_WITH(open_bytes(folder, file_bytes(entry("F32", "\"4\"", "[0,16]"), data)),
                    Contains("malformed entry"));
  CHECK_THROWS_WITH(open_bytes(folder, file_bytes(entry("F32", "[4]", "[0]"), data)),
                    Contains("data_offsets"));
  CHECK_THROWS_WITH(
      open_bytes(folder, file_bytes(R"({"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]},)"
                                    R"("b":{"dtype":"U8","shape":[8],"data_offsets":[8,16]}})",
                                    data)),
      Contains("share byte 8"));
}

TEST_CASE("no truncation or flipped byte of a safetensors file crashes the reader") {
  const TempFolder folder;
  write_safetensors(folder / "good.safetensors",
                    {{"a", at::ones({3, 5})}, {"b", at::ones({7}, at::kHalf)}});
  const std::string good = read_file(folder / "good.safetensors");
  Random random(1, "safetensors-fuzz");
  int refused = 0;
  for (int i = 0; i < 600; ++i) {
    std::string bytes = good;
    if (i % 2 == 0) bytes.resize(random.below(good.size()));
    for (int k = 0; k < i % 4; ++k)
      if (!bytes.empty()) bytes[random.below(bytes.size())] = static_cast<char>(random.bits());
    try {
      open_bytes(folder, bytes);
    } catch (const Error&) {
      ++refused;
    }
  }
  CHECK(refused > 300);
}

TEST_CASE("a checkpoint folder with a missing shard or tensor says which") {
  const TempFolder folder;
  CHECK_THROWS_WITH(Checkpoint(folder.path()), Contains("neither model.safetensors"));
  write_file_atomic(folder / "model.safetensors.index.json",
                    R"({"weight_map":{"a":"one.safetensors"}})");
  CHECK_THROWS_WITH(Checkpoint(folder.path()), Contains("one.safetensors"));
  write_safetensors(folder / "one.safetensors", {{"b", at::ones({1})}});
  CHECK_THROWS_WITH(Checkpoint(folder.path()), Contains("download is incomplete"));
  write_file_atomic(folder / "model.safetensors.index.json",
                    R"({"weight_map":{"a":"../one.safetensors"}})");
  CHECK_THROWS_WITH(Checkpoint(folder.path()), Contains("not a plain file name"));
}

TEST_CASE("configurations that this decoder cannot run are refused") {
  const TempFolder folder;
  CHECK(read_changed(folder, [](json&) {}).rope_scaling.type == RopeScaling::Type::kLlama3);
  const auto refused = [&](const std::function<void(json&)>& change, const std::string& message) {
    CHECK_THROWS_WITH(read_changed(folder, change), Contains(message));
  };
  refused([](json& c) { c["model_type"] = "gpt2"; }, "model_type 'gpt2'");
  refused([](json& c) { c.erase("hidden_size"); }, "no 'hidden_size'");
  refused([](json& c) { c["hidden_size"] = "big"; }, "'hidden_size' is \"big\"");
  refused([](json& c) { c["num_hidden_layers"] = -1; }, "'num_hidden_layers' is -1");
  refused([](json& c) { c["num_key_value_heads"] = 4; }, "cannot share");
  refused([](json& c) { c["num_key_value_heads"] = 0; }, "'num_key_value_heads' is 0");
  refused([](json& c) { c["head_dim"] = 15; }, "odd");
  refused([](json& c) { c["hidden_act"] = "gelu"; }, "'gelu'");
  refused([](json& c) { c["attention_bias"] = true; }, "attention_bias");
  refused([](json& c) { c["rope_scaling"]["rope_type"] = "yarn"; }, "'yarn'");
  refused([](json& c) { c["rope_scaling"].erase("factor"); }, "no 'factor'");
  write_file_atomic(folder / "config.json", "{");
  CHECK_THROWS_WITH(read_llama_config(folder.path()), Contains("not valid JSON"));
}

TEST_CASE("both spellings of RoPE give the same configuration") {
  const TempFolder folder;
  const LlamaConfig old_style = read_changed(folder, [](json&) {});
  const LlamaConfig new_style = read_changed(folder, [](json& c) {
    c["rope_parameters"] = c["rope_scaling"];
    c["rope_parameters"]["rope_theta"] = c["rope_theta"];
    c["dtype"] = c["torch_dtype"];
    for (const char* key : {"rope_scaling", "rope_theta", "torch_dtype"}) c.erase(key);
  });
  CHECK(old_style.rope_theta == new_style.rope_theta);
  CHECK(old_style.rope_scaling.factor == new_style.rope_scaling.factor);
  CHECK(old_style.rope_scaling.type == new_style.rope_scaling.type);
  CHECK(old_style.torch_dtype == new_style.torch_dtype);
}

TEST_CASE("adapters round trip, and foreign ones are refused") {
  const TempFolder folder;
  const LlamaConfig model = read_llama_config(kModel);
  LoraConfig lora;
  lora.rank = 3;
  lora.alpha = 5;
  lora.rslora = true;
  lora.targets = {"q_proj", "down_proj"};
  const Adapter adapter = Adapter::fresh(model, lora, 7);
  write_adapter(folder.path(), adapter, "base");
  const Adapter back = read_adapter(folder.path(), model);
  CHECK(back.config.scale() == Approx(5 / std::sqrt(3.0)));
  const auto before = adapter.named(), after = back.named();
  REQUIRE(before.size() == 12);
  REQUIRE(after.size() == before.size());
  for (std::size_t i = 0; i < before.size(); ++i) {
    CHECK(before[i].name == after[i].name);
    CHECK(before[i].tensor.equal(after[i].tensor));
  }

  const std::string path = folder / "adapter_config.json";
  const auto refused = [&](const std::string& key, const json& value, const std::string& message) {
    json config = json::parse(read_file(kModel + "/adapter/adapter_config.json"));
    config[key] = value;
    write_file_atomic(path, config.dump());
    CHECK_THROWS_WITH(read_adapter(folder.path(), model), Contains(message));
  };
  refused("peft_type", "IA3", "IA3");
  refused("rank_pattern", {{"q_proj", 4}}, "rank_pattern");
  refused("bias", "all", "bias");
  refused("r", "four", "malformed");
  refused("target_modules", {"q_proj"}, "another base");
}

TEST_CASE("a fresh adapter is a function of its seed and starts as the identity") {
  const LlamaConfig model = read_llama_config(kModel);
  const Adapter one = Adapter::fresh(model, {}, 1), same = Adapter::fresh(model, {}, 1);
  const Adapter other = Adapter::fresh(model, {}, 2);
  CHECK(one.blocks[1][Projection::kUp]->a.equal(same.blocks[1][Projection::kUp]->a));
  CHECK_FALSE(one.blocks[1][Projection::kUp]->a.equal(other.blocks[1][Projection::kUp]->a));
  CHECK(one.blocks[1][Projection::kUp]->b.abs().max().item<double>() == 0);
  const double bound = 1 / std::sqrt(static_cast<double>(model.hidden_size));
  CHECK(one.blocks[0][Projection::kQ]->a.abs().max().item<double>() <= bound);
  LoraConfig wrong;
  wrong.targets = {"query"};
  CHECK_THROWS_WITH(Adapter::fresh(model, wrong, 1), Contains("query"));
}
