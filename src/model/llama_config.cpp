#include "reflect/model/llama_config.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "reflect/base/error.h"
#include "reflect/base/file.h"

namespace reflect {

namespace {

using nlohmann::json;
namespace fs = std::filesystem;

// One JSON file and its path, for messages.
struct ConfigFile {
  std::string path;
  json values;

  bool has(const char* key) const { return values.contains(key) && !values[key].is_null(); }

  template <class T>
  T get(const char* key) const {
    if (!has(key)) fail("config", "{}: no '{}'; is this a Llama checkpoint?", path, key);
    return convert<T>(key);
  }

  template <class T>
  T get_or(const char* key, T otherwise) const {
    return has(key) ? convert<T>(key) : otherwise;
  }

  template <class T>
  T convert(const char* key) const {
    try {
      return values[key].get<T>();
    } catch (const json::exception&) {
      fail("config", "{}: '{}' is {}, which is not of the expected type", path, key,
           values[key].dump());
    }
  }
};

ConfigFile read_json(const fs::path& path) {
  try {
    ConfigFile file{path.string(), json::parse(read_file(path.string()))};
    if (!file.values.is_object()) fail("config", "{}: not a JSON object", path.string());
    return file;
  } catch (const json::exception& e) {
    fail("config", "{}: not valid JSON ({})", path.string(), e.what());
  }
}

void refuse_unsupported(const ConfigFile& file) {
  constexpr std::array kTypes = {"llama", "mistral"};
  const auto type = file.get<std::string>("model_type");
  if (std::find(kTypes.begin(), kTypes.end(), type) == kTypes.end())
    fail("config",
         "{}: model_type '{}' is not supported; supported: llama, mistral (and what "
         "shares their architecture)",
         file.path, type);
  const auto activation = file.get_or<std::string>("hidden_act", "silu");
  if (activation != "silu")
    fail("config", "{}: hidden_act '{}' is not supported; only silu is", file.path, activation);
  for (const char* bias : {"attention_bias", "mlp_bias"})
    if (file.get_or(bias, false)) fail("config", "{}: {} true is not supported", file.path, bias);
}

// Older files spell it rope_theta + rope_scaling, newer ones rope_parameters with both in it.
void read_rope(const ConfigFile& file, LlamaConfig& config) {
  ConfigFile rope{file.path, json::object()};
  if (file.has("rope_parameters")) {
    rope.values = file.values["rope_parameters"];
  } else if (file.has("rope_scaling")) {
    rope.values = file.values["rope_scaling"];
  }
  config.rope_theta = rope.get_or("rope_theta", file.get_or("rope_theta", 10000.0));
  RopeScaling& scaling = config.rope_scaling;
  const auto type = rope.get_or("rope_type", rope.get_or<std::string>("type", "default"));
  if (type == "default") return;
  scaling.factor = rope.get<double>("factor");
  if (type == "linear") {
    scaling.type = RopeScaling::Type::kLinear;
  } else if (type == "llama3") {
    scaling.type = RopeScaling::Type::kLlama3;
    scaling.low_freq_factor = rope.get<double>("low_freq_factor");
    scaling.high_freq_factor = rope.get<double>("high_freq_factor");
    scaling.original_max_position_embeddings =
        rope.get<std::int64_t>("original_max_position_embeddings");
  } else {
    fail("config", "{}: RoPE scaling '{}' is not supported; default, linear and llama3 are",
         file.path, type);
  }
}

void read_token_ids(const ConfigFile& file, LlamaConfig& config) {
  if (file.has("bos_token_id")) config.bos_token_id = file.convert<std::int32_t>("bos_token_id");
  if (!file.has("eos_token_id")) return;
  if (file.values["eos_token_id"].is_array()) {
    config.eos_token_ids = file.convert<std::vector<std::int32_t>>("eos_token_id");
  } else {
    config.eos_token_ids = {file.convert<std::int32_t>("eos_token_id")};
  }
}

void check_sizes(const ConfigFile& file, const LlamaConfig& c) {
  constexpr std::int64_t kLargest = std::int64_t{1} << 31;
  const std::pair<const char*, std::int64_t> sizes[] = {
      {"hidden_size", c.hidden_size},
      {"intermediate_size", c.intermediate_size},
      {"num_hidden_layers", c.num_hidden_layers},
      {"num_attention_heads", c.num_attention_heads},
      {"num_key_value_heads", c.num_key_value_heads},
      {"head_dim", c.head_dim},
      {"vocab_size", c.vocab_size},
      {"max_position_embeddings", c.max_position_embeddings}};
  for (const auto& [name, value] : sizes)
    if (value < 1 || value > kLargest)
      fail("config", "{}: '{}' is {}, not a sensible size", file.path, name, value);
  if (c.num_attention_heads % c.num_key_value_heads != 0)
    fail("config", "{}: {} attention heads cannot share {} key/value heads evenly", file.path,
         c.num_attention_heads, c.num_key_value_heads);
  if (c.head_dim % 2 != 0)
    fail("config", "{}: head_dim {} is odd; RoPE turns pairs", file.path, c.head_dim);
}

}  // namespace

std::int64_t LlamaConfig::parameters() const {
  const std::int64_t attention =
      hidden_size * head_dim * (2 * num_attention_heads + 2 * num_key_value_heads);
  const std::int64_t mlp = 3 * hidden_size * intermediate_size;
  const std::int64_t embeddings = vocab_size * hidden_size * (tie_word_embeddings ? 1 : 2);
  return num_hidden_layers * (attention + mlp + 2 * hidden_size) + embeddings + hidden_size;
}

LlamaConfig read_llama_config(const std::string& folder) {
  const ConfigFile file = read_json(fs::path(folder) / "config.json");
  refuse_unsupported(file);
  LlamaConfig c;
  c.model_type = file.get<std::string>("model_type");
  c.hidden_size = file.get<std::int64_t>("hidden_size");
  c.intermediate_size = file.get<std::int64_t>("intermediate_size");
  c.num_hidden_layers = file.get<std::int64_t>("num_hidden_layers");
  c.num_attention_heads = file.get<std::int64_t>("num_attention_heads");
  c.num_key_value_heads = file.get_or("num_key_value_heads", c.num_attention_heads);
  c.head_dim = file.get_or("head_dim",
                           c.num_attention_heads > 0 ? c.hidden_size / c.num_attention_heads : 0);
  c.vocab_size = file.get<std::int64_t>("vocab_size");
  c.max_position_embeddings = file.get_or("max_position_embeddings", c.max_position_embeddings);
  c.rms_norm_eps = file.get_or("rms_norm_eps", 1e-6);
  c.tie_word_embeddings = file.get_or("tie_word_embeddings", false);
  if (file.has("sliding_window")) c.sliding_window = file.convert<std::int64_t>("sliding_window");
  c.initializer_range = file.get_or("initializer_range", c.initializer_range);
  c.torch_dtype = file.get_or("torch_dtype", file.get_or<std::string>("dtype", "float32"));
  check_sizes(file, c);
  read_rope(file, c);
  read_token_ids(file, c);
  const fs::path generation = fs::path(folder) / "generation_config.json";
  if (fs::exists(generation)) read_token_ids(read_json(generation), c);
  return c;
}

}  // namespace reflect
