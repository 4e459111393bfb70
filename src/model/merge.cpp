#include "reflect/model/merge.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mm.h>
#include <c10/core/InferenceMode.h>
#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "checkpoint_names.h"
#include "reflect/base/file.h"
#include "reflect/base/log.h"
#include "reflect/data/tag_tokens.h"
#include "reflect/model/llama.h"

namespace reflect {

namespace {

namespace fs = std::filesystem;

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";
constexpr const char* kMark = ".reflect-merge";  // in a folder that is not whole yet

// The tensors of the merged model: the base's, the adapted ones with their update added. Where an
// adapter sits on an output matrix that is the embedding itself, the two come apart.
class MergedTensors {
 public:
  MergedTensors(const std::string& model, const std::string& adapter, const LlamaConfig& config)
      : base_(model), adapter_(read_adapter(adapter, config)), tied_(config.tie_word_embeddings) {
    for (const std::string& target : adapter_.config.targets)
      for (const AdaptedMatrix& matrix : adapter_.matrices(config, target))
        updates_[matrix.module + ".weight"] = &**matrix.pair;
    if (!adapter_.rows) return;
    rows_[checkpoint_names::kEmbedding] = adapter_.rows->embedding;
    if (adapter_.rows->output().defined())
      rows_[checkpoint_names::kLmHead] = adapter_.rows->output();
  }

  std::vector<std::string> names() const {
    std::vector<std::string> all = base_.names();
    if (unties() && !base_.contains(checkpoint_names::kLmHead))
      all.push_back(checkpoint_names::kLmHead);
    return all;
  }
  std::size_t adapted() const {
    return static_cast<std::size_t>(std::ranges::count_if(names(), [&](const auto& name) {
      return updates_.contains(name) || rows_.contains(name);
    }));
  }
  bool unties() const { return tied_ && adapter_.head.has_value(); }

  TensorShape shape(const std::string& name) const {
    const at::Tensor from = stored(name);
    return {name, from.sizes().vec(), from.scalar_type()};
  }

  // W + scale B A (each row scaled to its magnitude with DoRA) in fp32, rounded once to the stored
  // dtype.
  at::Tensor tensor(const std::string& name) const {
    const at::Tensor from = stored(name);
    const at::ScalarType dtype = from.scalar_type();
    if (const auto rows = rows_.find(name); rows != rows_.end())
      return from.index_copy(0, adapter_.rows->ids, rows->second.to(dtype));
    const auto update = updates_.find(name);
    if (update == updates_.end()) return from;
    const LoraPair& pair = *update->second;
    const at::Tensor delta = at::mm(pair.b, pair.a);
    const at::Tensor sum = from.to(at::kFloat) + delta * adapter_.config.scale();
    if (!pair.magnitude.defined()) return sum.to(dtype);
    const at::Tensor norm = at::linalg_vector_norm(sum, 2, {1});
    return (sum * (pair.magnitude / norm).unsqueeze(1)).to(dtype);
  }

 private:
  at::Tensor stored(const std::string& name) const {
    const bool shared = tied_ && name == checkpoint_names::kLmHead;
    return base_.view(shared ? checkpoint_names::kEmbedding : name);
  }

  Checkpoint base_;
  Adapter adapter_;
  bool tied_;
  std::map<std::string, const LoraPair*> updates_;  // by the name of the weight they change
  std::map<std::string, at::Tensor> rows_;          // likewise; those of adapter_.rows->ids
};

std::size_t bytes_of(const TensorShape& t) {
  std::size_t count = c10::elementSize(t.dtype);
  for (std::int64_t n : t.shape) count *= static_cast<std::size_t>(n);
  return count;
}

// Consecutive tensors grouped into files of at most `limit` bytes (one tensor at least).
std::vector<std::vector<TensorShape>> plan_shards(const MergedTensors& tensors, std::size_t limit) {
  std::vector<std::vector<TensorShape>> shards;
  std::size_t filled = 0;
  for (const std::string& name : tensors.names()) {
    const TensorShape shape = tensors.shape(name);
    const std::size_t bytes = bytes_of(shape);
    if (shards.empty() || filled + bytes > limit) {
      shards.emplace_back();
      filled = 0;
    }
    shards.back().push_back(shape);
    filled += bytes;
  }
  return shards;
}

void write_index(const fs::path& folder, const std::vector<std::vector<TensorShape>>& shards,
                 const std::vector<std::string>& files) {
  nlohmann::ordered_json map;
  std::size_t total = 0;
  for (std::size_t i = 0; i < shards.size(); ++i)
    for (const TensorShape& t : shards[i]) {
      map[t.name] = files[i];
      total += bytes_of(t);
    }
  const nlohmann::ordered_json index = {{"metadata", {{"total_size", total}}}, {"weight_map", map}};
  write_file_atomic((folder / kIndexFile).string(), index.dump(2) + "\n");
}

void write_tensors(const fs::path& folder, const MergedTensors& tensors, std::size_t limit) {
  const auto shards = plan_shards(tensors, limit);
  std::vector<std::string> files;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    files.push_back(shards.size() == 1
                        ? kSingleFile
                        : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size()));
    SafetensorsWriter writer((folder / files.back()).string(), shards[i]);
    for (const TensorShape& t : shards[i]) writer.write(tensors.tensor(t.name));
    writer.commit();
  }
  if (shards.size() > 1) write_index(folder, shards, files);
}

// Configuration and tokenizer travel along; weights in any format do not.
void copy_small_files(const fs::path& from, const fs::path& to) {
  for (const fs::directory_entry& entry : fs::directory_iterator(from)) {
    const std::string name = entry.path().filename().string();
    const std::string ending = entry.path().extension().string();
    const bool wanted = ending == ".json" || ending == ".jinja" || ending == ".txt" ||
                        name == "tokenizer.model" || name == "LICENSE";
    if (entry.is_regular_file() && wanted && name != kIndexFile)
      fs::copy_file(entry.path(), to / name, fs::copy_options::overwrite_existing);
  }
}

// Says in config.json that the output matrix is not the embedding any more.
void untie(const fs::path& folder) {
  const std::string path = (folder / "config.json").string();
  auto config = nlohmann::ordered_json::parse(read_file(path));
  config["tie_word_embeddings"] = false;
  write_file_atomic(path, config.dump(2) + "\n");
}

// What was written must be the sums, bit for bit.
void compare_tensors(const std::string& written, const MergedTensors& tensors) {
  const Checkpoint copy(written);
  for (const std::string& name : tensors.names())
    if (!copy.view(name).equal(tensors.tensor(name)))
      fail("merge", "{}: '{}' reads back other than it was written; check the disk", written, name);
}

// Largest difference of logits between base + adapter and the merged model, relative to the
// logits' standard deviation, over a fixed run of ids.
double logit_difference(const MergeConfig& config, const LlamaConfig& llama,
                        const std::string& merged) {
  const c10::InferenceMode guard;
  const std::int64_t length = std::min<std::int64_t>(64, llama.max_position_embeddings);
  const at::Tensor ids = at::arange(length, at::kLong).mul(7919).remainder(llama.vocab_size);
  const PackedRows rows{{0, length}, {}, {}};
  const Runtime runtime{at::kFloat, at::kCPU};
  const Adapter adapter = read_adapter(config.adapter, llama);
  const auto logits = [&](const std::string& folder, const Adapter* with) {
    const LlamaConfig shape = read_llama_config(folder);
    const Llama model(shape, std::make_shared<StreamedWeights>(folder, shape, runtime), runtime);
    return model.logits(model.hidden(ids, rows, {with, nullptr}), with);
  };
  const at::Tensor wanted = logits(config.model, &adapter), ours = logits(merged, nullptr);
  return ((wanted - ours).abs().max() / wanted.std()).item<double>();
}

// Rounding of one weight to the storage dtype, times a margin for the depth of the network.
double allowed_difference(const LlamaConfig& config) {
  if (config.torch_dtype == "float32") return 1e-4;
  return config.torch_dtype == "float16" ? 5e-2 : 2e-1;
}

void check_output_folder(const std::string& folder) {
  if (fs::exists(folder) && !fs::is_empty(folder))
    fail_usage("merge", "--output {}: exists and is not empty; choose another folder", folder);
}

// A folder for what is not whole yet. One that an interrupted run left is emptied.
std::string fresh_partial_folder(const std::string& output) {
  const fs::path folder = output + ".partial";
  if (fs::exists(folder) && !fs::exists(folder / kMark) &&
      (!fs::is_directory(folder) || !fs::is_empty(folder)))
    fail_usage("merge",
               "{} is needed while merging and holds what is not of an interrupted merge; move it "
               "away or choose another --output",
               folder.string());
  fs::remove_all(folder);
  make_folder(folder.string());
  write_file_atomic((folder / kMark).string(), "");
  return folder.string();
}

void require(const std::string& value, const char* flag) {
  if (value.empty()) fail_usage("merge", "{} is missing", flag);
}

}  // namespace

ExitCode merge(const MergeConfig& config) {
  require(config.model, "--model");
  require(config.adapter, "--adapter");
  require(config.output, "--output");
  check_output_folder(config.output);
  start_runtime(config.runtime);
  const LlamaConfig llama = read_llama_config(config.model);
  const MergedTensors tensors(config.model, config.adapter, llama);

  const std::string partial = fresh_partial_folder(config.output);
  write_tensors(partial, tensors, static_cast<std::size_t>(config.max_shard_bytes));
  copy_small_files(config.model, partial);
  if (const fs::path tags = fs::path(config.adapter) / kTagTokensFile; fs::exists(tags))
    fs::copy_file(tags, fs::path(partial) / kTagTokensFile, fs::copy_options::overwrite_existing);
  if (tensors.unties()) {
    untie(partial);
    log_info("the output matrix of this model is its embedding; the merged model has both");
  }
  compare_tensors(partial, tensors);
  const double difference = logit_difference(config, llama, partial);
  if (difference > allowed_difference(llama)) {
    fs::remove_all(partial);
    fail("merge",
         "logits of the merged model differ by {:.3g} standard deviations (allowed {:.3g})",
         difference, allowed_difference(llama));
  }
  fs::remove(fs::path(partial) / kMark);
  fs::remove(config.output);
  fs::rename(partial, config.output);
  fmt::print("merged {} of {} tensors into {}; logits differ by {:.2g} standard deviations\n",
             tensors.adapted(), tensors.names().size(), config.output, difference);
  return ExitCode::kDone;
}

}  // namespace reflect
