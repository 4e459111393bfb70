// Where the tools let a base lie, with the processes that a user would start.
#include <algorithm>
#include <map>

#include <spdlog/fmt/fmt.h>

#include "e2e/train_workplace.h"
#include "reflect/model/lora.h"
#include "reflect/model/weights.h"

namespace reflect {
namespace {

constexpr std::int64_t kLayers = 80;
constexpr std::size_t kFiles = 6;

// A checkpoint with the depth, the heads and the names of Llama 3.1 70B, but thin: bf16, in several
// files under an index, with the golden model's tokenizer.
void write_thin_70b(const std::string& folder) {
  fs::create_directories(folder);
  auto json = Json::parse(read_file(kModel + "/config.json"));
  json.update({{"num_hidden_layers", kLayers},
               {"num_attention_heads", 64},
               {"num_key_value_heads", 8},
               {"head_dim", 4},
               {"hidden_size", 32},
               {"intermediate_size", 64},
               {"torch_dtype", "bfloat16"}});
  write_file_atomic(folder + "/config.json", json.dump());
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "generation_config.json"})
    fs::copy_file(kModel + "/" + name, folder + "/" + name);
  ResidentWeights weights(read_llama_config(folder), {at::kBFloat16, at::kCPU}, 1);
  std::vector<NamedTensor> all = weights.named();
  const std::size_t each = all.size() / kFiles + 1;
  Json index;
  for (std::size_t file = 0; file < kFiles; ++file) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", file + 1, kFiles);
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(file * each);
    const std::size_t end = std::min(all.size(), (file + 1) * each);
    const std::vector<NamedTensor> part(begin, all.begin() + static_cast<std::ptrdiff_t>(end));
    for (const NamedTensor& tensor : part) index["weight_map"][tensor.name] = name;
    write_safetensors(folder + "/" + name, part);
  }
  write_file_atomic(folder + "/model.safetensors.index.json", index.dump());
}

Arguments together(int ranks, const Arguments& more) {
  Arguments all = {"--launch.nproc", std::to_string(ranks), "--launch.timeout", "60"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace

TEST_CASE("a checkpoint of a 70B model's shape loads, trains two steps and saves at world 4") {
  const Workplace place;
  const std::string model = place.folder / "thin", whole = place.folder / "whole";
  write_thin_70b(model);
  const std::string shares = place.folder / "shares";
  for (const std::string& output : {whole, shares}) {
    const Arguments more = {"--model",
                            model,
                            "--max_steps",
                            "2",
                            "--gradient_accumulation_steps",
                            "4",
                            "--packing.capacity",
                            "192",
                            "--placement",
                            output == whole ? "replicate" : "shard"};
    const ToolResult result = run_tool("reflect-train", place.arguments(together(4, more), output));
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    if (output == shares)
      CHECK_THAT(result.err, Catch::Contains("base in shares over 4 processes:") &&
                                 Catch::Contains("GB/s together"));
    CHECK(metrics_of(output).size() == 2);
  }
  const std::string adapter = "/adapter/adapter_model.safetensors";
  CHECK(read_file(shares + adapter) == read_file(whole + adapter));
  const Adapter saved = read_adapter(whole + "/adapter", read_llama_config(model));
  CHECK(saved.blocks.size() == kLayers);
}

}  // namespace reflect
