#include "checkpoint_names.h"

#include "reflect/base/error.h"
#include "reflect/model/lora.h"

namespace reflect {

std::string_view name_of(Projection projection) {
  switch (projection) {
    case Projection::kQ:
      return "q_proj";
    case Projection::kK:
      return "k_proj";
    case Projection::kV:
      return "v_proj";
    case Projection::kO:
      return "o_proj";
    case Projection::kGate:
      return "gate_proj";
    case Projection::kUp:
      return "up_proj";
    case Projection::kDown:
      return "down_proj";
  }
  fail("model", "no projection {}", static_cast<int>(projection));
}

namespace checkpoint_names {

std::string module_of(std::int64_t layer, Projection projection) {
  const bool attention = static_cast<int>(projection) <= static_cast<int>(Projection::kO);
  return fmt::format("model.layers.{}.{}.{}", layer, attention ? "self_attn" : "mlp",
                     name_of(projection));
}

std::string input_norm(std::int64_t layer) {
  return fmt::format("model.layers.{}.input_layernorm.weight", layer);
}

std::string post_attention_norm(std::int64_t layer) {
  return fmt::format("model.layers.{}.post_attention_layernorm.weight", layer);
}

std::string projection(std::int64_t layer, Projection which) {
  return module_of(layer, which) + ".weight";
}

std::string lora(const std::string& module, char factor) {
  return fmt::format("base_model.model.{}.lora_{}.weight", module, factor);
}

std::string magnitude(const std::string& module) {
  return fmt::format("base_model.model.{}.lora_magnitude_vector", module);
}

std::string token_rows(const std::string& module) {
  return fmt::format("base_model.model.{}.token_adapter.trainable_tokens_delta", module);
}

}  // namespace checkpoint_names

bool is_lora_output(const std::string& name) {
  return name.ends_with(".lora_B.weight") || name.ends_with(".lora_magnitude_vector");
}

}  // namespace reflect
