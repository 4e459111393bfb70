// A model in training: the decoder, its adapter (or all weights) and the buffer of what changes.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "reflect/model/base_storage.h"
#include "reflect/model/llama.h"
#include "reflect/train/parameters.h"

namespace reflect {

struct TunedModelOptions {
  std::string folder;   // config.json, tokenizer and, unless `random`, weights
  bool lora = true;     // else every weight is trained
  bool random = false;  // start from random weights
  LoraConfig lora_config = {};
  std::string initial_adapter = "";  // folder of an adapter to go on from; empty: a fresh one
  std::uint64_t seed = 0;
  Recompute recompute = Recompute::kAuto;
  BaseConfig base = {};      // of a frozen base; every weight that is trained is in fp32
  Placement placement = {};  // of a frozen base
};

class TunedModel {
 public:
  TunedModel(const TunedModelOptions& options, const Runtime& runtime);

  const Llama& llama() const { return *llama_; }
  ParameterBuffer& parameters() { return *parameters_; }
  bool lora() const { return adapter_.has_value(); }
  // Of the adapter, with the dropout of the training step that `dropout_key` names.
  ForwardOptions forward_options(std::uint64_t dropout_key);
  ForwardOptions forward_options();  // without dropout
  // Of the model that training started from: the base without the adapter, or with the adapter that
  // it went on from.
  ForwardOptions reference_options() const;

  // Writes what was trained into `folder`: adapter_config.json and adapter_model.safetensors
  // (fp32), or model.safetensors in `dtype` with config.json and the tokenizer's files, as Hugging
  // Face has them.
  void write(const std::string& folder, at::ScalarType dtype) const;
  // The same with the values of `flat`, a copy of parameters().values() in host memory.
  void write_values(const std::string& folder, at::ScalarType dtype, const at::Tensor& flat) const;
  // Restores the values that `write` in fp32 left in `folder`.
  void load_values(const std::string& folder);

 private:
  Adapter adapter_of(const at::Tensor& flat) const;  // with these values

  std::string folder_;
  Recompute recompute_;
  std::unique_ptr<Llama> llama_;
  std::optional<Adapter> adapter_;
  std::optional<Adapter> initial_adapter_;  // as it was read
  std::unique_ptr<ParameterBuffer> parameters_;
};

}  // namespace reflect
