#include "reflect/train/tuned_model.h"

#include <ATen/core/grad_mode.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "reflect/base/error.h"
#include "reflect/base/file.h"
#include "reflect/model/safetensors.h"
#include "reflect/train/optimizer.h"

namespace reflect {
namespace {

namespace fs = std::filesystem;

// The folder's config.json, saying the type that its weights now have.
void write_config(const std::string& from, const std::string& to, at::ScalarType dtype) {
  auto config = nlohmann::ordered_json::parse(read_file(from + "/config.json"));
  config[config.contains("torch_dtype") ? "torch_dtype" : "dtype"] =
      dtype == at::kFloat ? "float32" : "bfloat16";
  write_file_atomic(to + "/config.json", config.dump(2) + "\n");
}

// Tokenizer, chat template, generation settings: all of a checkpoint folder but config and weights.
void copy_companions(const std::string& from, const std::string& to) {
  for (const auto& entry : fs::directory_iterator(from)) {
    const std::string name = entry.path().filename();
    const bool text = name.ends_with(".json") || name.ends_with(".model") ||
                      name.ends_with(".jinja") || name.ends_with(".txt");
    const bool other = name.ends_with(".index.json") || name == "config.json";
    if (entry.is_regular_file() && text && !other) fs::copy_file(entry.path(), fs::path(to) / name);
  }
}

}  // namespace

TunedModel::TunedModel(const TunedModelOptions& options, const Runtime& runtime)
    : folder_(options.folder), recompute_(options.recompute) {
  const LlamaConfig config = read_llama_config(folder_);
  const auto seed = options.seed;
  if (options.lora) {
    const auto weights = load_weights(folder_, config, runtime, options.base, options.placement);
    llama_ = std::make_unique<Llama>(config, weights, runtime);
    if (options.initial_adapter.empty()) {
      adapter_ = Adapter::fresh(config, options.lora_config, seed);
      adapter_->move_to(runtime.device);
      adapter_->take_base(*weights);
    } else {
      adapter_ = read_adapter(options.initial_adapter, config, runtime.device);
      initial_adapter_ = read_adapter(options.initial_adapter, config, runtime.device);
    }
    parameters_ = std::make_unique<ParameterBuffer>(adapter_->named(), at::kFloat);
    return;
  }
  // Full fine-tuning keeps fp32 masters, so that is what it reads.
  const Runtime stored = {at::kFloat, runtime.device};
  const auto weights = options.random ? std::make_shared<ResidentWeights>(config, stored, seed)
                                      : std::make_shared<ResidentWeights>(folder_, config, stored);
  parameters_ = std::make_unique<ParameterBuffer>(weights->named(), runtime.dtype);
  llama_ = std::make_unique<Llama>(config, weights, runtime);
}

ForwardOptions TunedModel::forward_options(std::uint64_t dropout_key) {
  if (adapter_ && adapter_->config.dropout > 0)
    adapter_->dropout = LoraDropout{adapter_->config.dropout, dropout_key};
  return {.adapter = adapter_ ? &*adapter_ : nullptr, .recompute = recompute_};
}

ForwardOptions TunedModel::forward_options() {
  if (adapter_) adapter_->dropout.reset();
  return {.adapter = adapter_ ? &*adapter_ : nullptr, .recompute = recompute_};
}

ForwardOptions TunedModel::reference_options() const {
  return {.adapter = initial_adapter_ ? &*initial_adapter_ : nullptr};
}

void TunedModel::write(const std::string& folder, at::ScalarType dtype) const {
  write_values(folder, dtype, parameters_->values());
}

void TunedModel::write_values(const std::string& folder, at::ScalarType dtype,
                              const at::Tensor& flat) const {
  const at::NoGradGuard no_grad;
  if (adapter_) {
    write_adapter(folder, adapter_of(flat), folder_);
    return;
  }
  std::vector<TensorShape> shapes;
  for (const Parameter& parameter : parameters_->parameters())
    shapes.push_back({parameter.name, parameters_->view(flat, parameter).sizes().vec(), dtype});
  SafetensorsWriter writer(folder + "/model.safetensors", shapes);
  for (const Parameter& parameter : parameters_->parameters())
    writer.write(parameters_->view(flat, parameter).to(dtype));  // one at a time in memory
  writer.commit();
  write_config(folder_, folder, dtype);
  copy_companions(folder_, folder);
}

Adapter TunedModel::adapter_of(const at::Tensor& flat) const {
  std::map<const c10::TensorImpl*, at::Tensor> values;
  for (const Parameter& parameter : parameters_->parameters())
    values[parameter.tensor.unsafeGetTensorImpl()] = parameters_->view(flat, parameter);
  Adapter adapter = *adapter_;
  adapter.for_each_tensor(
      [&](at::Tensor& tensor) { tensor = values.at(tensor.unsafeGetTensorImpl()); });
  return adapter;
}

void TunedModel::load_values(const std::string& folder) {
  const SafetensorsFile file(folder +
                             (adapter_ ? "/adapter_model.safetensors" : "/model.safetensors"));
  for (const Parameter& parameter : parameters_->parameters())
    copy_from(file, parameter.name, parameters_->view(parameters_->values(), parameter));
  parameters_->publish_values();
}

}  // namespace reflect
