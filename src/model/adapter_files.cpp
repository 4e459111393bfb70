// Adapters as PEFT folders: adapter_config.json and adapter_model.safetensors.
#include <filesystem>
#include <nlohmann/json.hpp>

#include "checkpoint_names.h"
#include "reflect/base/error.h"
#include "reflect/base/file.h"
#include "reflect/model/lora.h"

namespace reflect {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kConfigFile = "adapter_config.json";
constexpr const char* kTensorFile = "adapter_model.safetensors";

// Settings of PEFT that change what an adapter computes and that this project does not have.
void refuse_unsupported(const Json& json, const std::string& path) {
  if (json.value("peft_type", "") != "LORA")
    fail("adapter", "{}: peft_type is {}; only LORA is supported", path,
         json.value("peft_type", "missing"));
  for (const char* key : {"rank_pattern", "alpha_pattern", "modules_to_save", "layers_to_transform",
                          "trainable_token_indices", "target_parameters"})
    if (json.contains(key) && !json[key].is_null() && !json[key].empty())
      fail("adapter", "{}: {} is {}, which is not supported; only uniform LoRA is", path, key,
           json[key].dump());
  if (json.value("bias", "none") != "none")
    fail("adapter", "{}: bias is '{}', which is not supported", path, json.value("bias", ""));
}

LoraConfig read_lora_config(const std::string& path) {
  try {
    const Json json = Json::parse(read_file(path));
    refuse_unsupported(json, path);
    LoraConfig config;
    config.rank = json.at("r").get<std::int64_t>();
    config.alpha = json.at("lora_alpha").get<double>();
    config.dropout = json.value("lora_dropout", 0.0);
    config.rslora = json.value("use_rslora", false);
    config.dora = json.value("use_dora", false);
    config.targets = json.at("target_modules").get<std::vector<std::string>>();
    return config;
  } catch (const Json::exception& e) {
    fail("adapter", "{}: malformed ({})", path, e.what());
  }
}

// Reads one factor as fp32 and checks its shape.
at::Tensor read_factor(const SafetensorsFile& file, const std::string& name,
                       std::vector<std::int64_t> shape, const std::string& path) {
  const at::Tensor stored = file.view(name);
  if (stored.sizes() != at::IntArrayRef(shape))
    fail("adapter", "{}: '{}' has shape [{}], but this model needs [{}]; is it another base?", path,
         name, fmt::join(stored.sizes(), ", "), fmt::join(shape, ", "));
  return stored.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
}

}  // namespace

Adapter read_adapter(const std::string& folder, const LlamaConfig& model,
                     const at::Device& device) {
  const std::string tensor_path = (fs::path(folder) / kTensorFile).string();
  Adapter adapter{read_lora_config((fs::path(folder) / kConfigFile).string()),
                  std::vector<BlockAdapter>(model.num_hidden_layers),
                  {}};
  const SafetensorsFile file(tensor_path);
  const std::int64_t rank = adapter.config.rank;
  std::size_t used = 0;
  for (const std::string& target : adapter.config.targets) {
    const Projection p = projection_named(target);
    const auto [out, in] = shape_of(model, p);
    for (std::int64_t layer = 0; layer < model.num_hidden_layers; ++layer) {
      const std::string a = checkpoint_names::lora(layer, p, 'A');
      const std::string b = checkpoint_names::lora(layer, p, 'B');
      LoraPair& pair = adapter.blocks[layer][p].emplace();
      pair.a = read_factor(file, a, {rank, in}, tensor_path);
      pair.b = read_factor(file, b, {out, rank}, tensor_path);
      used += 2;
      if (!adapter.config.dora) continue;
      pair.magnitude = read_factor(file, checkpoint_names::magnitude(layer, p), {out}, tensor_path);
      ++used;
    }
  }
  if (used != file.names().size())
    fail("adapter", "{}: {} tensors, of which only {} belong to this model and its target_modules",
         tensor_path, file.names().size(), used);
  adapter.move_to(device);
  return adapter;
}

void write_adapter(const std::string& folder, const Adapter& adapter,
                   const std::string& base_model) {
  make_folder(folder);
  const LoraConfig& c = adapter.config;
  const Json config = {{"base_model_name_or_path", base_model},
                       {"bias", "none"},
                       {"fan_in_fan_out", false},
                       {"inference_mode", true},
                       {"init_lora_weights", true},
                       {"lora_alpha", c.alpha},
                       {"lora_dropout", c.dropout},
                       {"modules_to_save", nullptr},
                       {"peft_type", "LORA"},
                       {"r", c.rank},
                       {"rank_pattern", Json::object()},
                       {"alpha_pattern", Json::object()},
                       {"target_modules", c.targets},
                       {"task_type", "CAUSAL_LM"},
                       {"use_dora", c.dora},
                       {"use_rslora", c.rslora}};
  write_safetensors((fs::path(folder) / kTensorFile).string(), adapter.named());
  write_file_atomic((fs::path(folder) / kConfigFile).string(), config.dump(2) + "\n");
}

}  // namespace reflect
