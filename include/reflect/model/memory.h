// What a model's weights and activations take in memory, by formula from its shape: nothing is
// loaded or allocated. Bytes of tensors, as allocators count them.
#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <optional>
#include <string>

#include "reflect/model/base_config.h"
#include "reflect/model/llama.h"

namespace reflect {

// How load_weights is asked to hold a base.
struct BaseLayout {
  at::ScalarType dtype = at::kBFloat16;
  std::string storage = "dtype";
  std::string placement = "replicate";
  std::int64_t ranks = 1;            // that hold a copy together
  std::int64_t tensor_parallel = 1;  // ranks that hold a slice of each projection; with replicate
  bool on_cpu = true;
};

struct BaseMemory {
  std::int64_t weights = 0;   // on the device, for good: the base or this rank's share
  std::int64_t buffers = 0;   // on the device: gathered units, dequantised blocks
  std::int64_t host = 0;      // pinned host memory (offload to a GPU)
  std::int64_t arriving = 0;  // from other ranks, the host or files, for one pass over the model
};

BaseMemory base_memory(const LlamaConfig& model, const BaseLayout& layout);

// Whether its weights stay for the backward pass (WeightSource::lasting).
bool is_lasting(const BaseLayout& layout);

// A pack on its way through the decoder.
struct PassLayout {
  std::int64_t tokens = 0;
  bool several_rows = true;  // in the pack
  at::ScalarType dtype = at::kBFloat16;
  bool on_cpu = true;
  Recompute recompute = Recompute::kNone;  // not kAuto
  std::optional<LoraConfig> lora;          // none: every weight is trained
};

struct ActivationMemory {
  std::int64_t kept = 0;      // from the forward to the backward pass
  std::int64_t backward = 0;  // beside these, where most is needed: the last block's backward pass
};

ActivationMemory activation_memory(const LlamaConfig& model, const PassLayout& pass);

// Numbers that an adapter of this configuration trains, those of the output matrix among them: of
// the factors on it, or of rows that are its own.
std::int64_t head_adapter_size(const LlamaConfig& model, const LoraConfig& lora);
std::int64_t adapter_size(const LlamaConfig& model, const LoraConfig& lora);

}  // namespace reflect
