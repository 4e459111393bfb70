// Adapters as PEFT folders: adapter_config.json and adapter_model.safetensors.
#include <filesystem>
#include <map>
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
                          "target_parameters"})
    if (json.contains(key) && !json[key].is_null() && !json[key].empty())
      fail("adapter", "{}: {} is {}, which is not supported; only uniform LoRA is", path, key,
           json[key].dump());
  if (json.value("bias", "none") != "none")
    fail("adapter", "{}: bias is '{}', which is not supported", path, json.value("bias", ""));
}

// PEFT's trainable_token_indices: a list (of the embedding, and of what is tied to it) or a list
// for each table.
std::vector<std::int64_t> read_token_ids(const Json& json, const std::string& path) {
  constexpr const char* kKey = "trainable_token_indices";
  using Ids = std::vector<std::int64_t>;
  if (!json.contains(kKey) || json[kKey].is_null()) return {};
  const Json& value = json[kKey];
  if (value.is_array()) return value.get<Ids>();
  const auto tables = value.get<std::map<std::string, Ids>>();
  const auto embedding = tables.find("embed_tokens"), head = tables.find(kHeadTarget);
  const bool both = head != tables.end();
  if (embedding == tables.end() || tables.size() > (both ? 2 : 1) ||
      (both && head->second != embedding->second))
    fail(
        "adapter",
        "{}: {} is {}; only the same tokens of embed_tokens and lm_head, or of embed_tokens alone, "
        "are supported",
        path, kKey, value.dump());
  return embedding->second;
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
    config.token_ids = read_token_ids(json, path);
    for (const std::int64_t id : config.token_ids)
      config.trainable_tokens.push_back(std::to_string(id));
    return config;
  } catch (const Json::exception& e) {
    fail("adapter", "{}: malformed ({})", path, e.what());
  }
}

Json token_indices(const Adapter& adapter) {
  if (!adapter.rows) return nullptr;
  const Json ids = adapter.config.token_ids;
  if (!adapter.rows->lm_head.defined()) return ids;
  return {{"embed_tokens", ids}, {"lm_head", ids}};
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
  std::size_t used = file.contains(checkpoint_names::kHeadCopy);  // the base's: not read
  const auto read = [&](const std::string& name, std::vector<std::int64_t> shape) {
    ++used;
    return read_factor(file, name, std::move(shape), tensor_path);
  };
  for (const std::string& target : adapter.config.targets)
    for (const AdaptedMatrix& matrix : adapter.matrices(model, target)) {
      LoraPair& pair = matrix.pair->emplace();
      pair.a = read(checkpoint_names::lora(matrix.module, 'A'), {rank, matrix.in});
      pair.b = read(checkpoint_names::lora(matrix.module, 'B'), {matrix.out, rank});
      if (adapter.config.dora)
        pair.magnitude = read(checkpoint_names::magnitude(matrix.module), {matrix.out});
    }
  if (!adapter.config.token_ids.empty()) {
    TokenRows& rows = adapter.rows.emplace(token_rows_of(model, adapter.config));
    const std::vector<std::int64_t> shape = rows.embedding.sizes().vec();
    const std::string head = checkpoint_names::token_rows(checkpoint_names::kHeadModule);
    rows.embedding = read(checkpoint_names::token_rows(checkpoint_names::kEmbeddingModule), shape);
    rows.lm_head = file.contains(head) ? read(head, shape) : at::Tensor();
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
                       {"trainable_token_indices", token_indices(adapter)},
                       {"use_dora", c.dora},
                       {"use_rslora", c.rslora}};
  write_safetensors((fs::path(folder) / kTensorFile).string(), adapter.named());
  write_file_atomic((fs::path(folder) / kConfigFile).string(), config.dump(2) + "\n");
}

}  // namespace reflect
