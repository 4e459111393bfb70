#include "code_source.h"

#include <ATen/ops/scalar_tensor.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "checkpoint_names.h"
#include "reflect/base/error.h"
#include "reflect/base/folder_state.h"
#include "reflect/base/hash.h"
#include "reflect/base/log.h"
#include "reflect/base/mapped_pages.h"
#include "reflect/dist/launch.h"

namespace reflect {

namespace {

namespace fs = std::filesystem;

constexpr int kCacheVersion = 1;
constexpr const char* kMean = ".absmax_mean";

std::string piece_name(const std::string& matrix, std::size_t piece) {
  return fmt::format("{}.{}", matrix, piece);
}

// The first and last bytes of a tensor.
std::string sample(const at::Tensor& tensor) {
  constexpr std::size_t kBytes = 4096;
  const auto* bytes = static_cast<const char*>(tensor.const_data_ptr());
  const std::size_t some = std::min<std::size_t>(kBytes, tensor.nbytes());
  std::string both(bytes, some);
  return both.append(bytes + tensor.nbytes() - some, some);
}

// Changes with anything that codes are made of.
std::string checkpoint_key(const std::string& folder, const StreamedWeights& files,
                           const LlamaConfig& config) {
  std::string known = fmt::format("{} {}", kCacheVersion, folder_state(folder, ".safetensors"));
  for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer)
    for (const Projection p : kProjections) {
      const at::Tensor stored = files.stored_projection(layer, p);
      known += fmt::format(" {} [{}] {}", c10::toString(stored.scalar_type()),
                           fmt::join(stored.sizes(), ", "), content_hash(sample(stored)));
    }
  return content_hash(known);
}

}  // namespace

CodeSource::CodeSource(const std::string& folder, const StreamedWeights& files,
                       const LlamaConfig& config, WeightCodec codec, const std::string& cache)
    : files_(files), config_(config), codec_(codec) {
  if (cache.empty()) return;
  const char* name = codec == WeightCodec::kFp8 ? "fp8" : "nf4";
  folder_ = fs::path(cache) / fmt::format("{}-{}", name, checkpoint_key(folder, files, config));
  fill_cache();
}

std::string CodeSource::path(std::int64_t layer) const {
  return fmt::format("{}/block-{:04}.safetensors", folder_, layer);
}

// Scales come first: they are read as floats, and what stands before them is aligned.
std::vector<TensorShape> CodeSource::contents(std::int64_t layer) const {
  std::vector<TensorShape> floats, bytes;
  for (const Projection p : kProjections) {
    const std::string name = checkpoint_names::projection(layer, p);
    const auto [out, in] = shape_of(config_, p);
    const std::vector<std::int64_t> sizes = piece_sizes(codec_, out, in);
    if (codec_ == WeightCodec::kNf4) floats.push_back({name + kMean, {1}, at::kFloat});
    for (std::size_t i = 0; i < sizes.size(); ++i)
      (i + 1 == sizes.size() ? floats : bytes)
          .push_back({piece_name(name, i), {sizes[i]}, at::kByte});
  }
  floats.insert(floats.end(), bytes.begin(), bytes.end());
  return floats;
}

bool CodeSource::is_cached(std::int64_t layer) const {
  if (folder_.empty() || !fs::exists(path(layer))) return false;
  try {
    const SafetensorsFile file(path(layer));
    for (const TensorShape& expected : contents(layer)) {
      const at::Tensor found = file.view(expected.name);
      if (found.sizes() != at::IntArrayRef(expected.shape) || found.scalar_type() != expected.dtype)
        fail("base.cache", "{}: '{}' has another shape or type", path(layer), expected.name);
    }
    return true;
  } catch (const Error& error) {
    log_warn("{}; it is written anew", error.what());
    return false;
  }
}

void CodeSource::fill_cache() {
  const LaunchEnvironment place = launch_environment();
  const std::int64_t layers = config_.num_hidden_layers;
  std::int64_t made = 0;
  try {
    make_folder(folder_);
    for (std::int64_t i = 0; i < layers; ++i) {
      const std::int64_t layer = (place.rank * layers / place.world_size + i) % layers;
      if (is_cached(layer)) continue;
      write(layer);
      ++made;
    }
  } catch (const Error& error) {
    log_warn("codes are not kept: {}", error.what());
    folder_.clear();
    return;
  }
  if (place.rank == 0)
    log_info("codes of {} blocks from {}, {} of them made now", layers, folder_, made);
}

void CodeSource::write(std::int64_t layer) const {
  std::map<std::string, at::Tensor> made;
  for (const Projection p : kProjections) {
    const std::string name = checkpoint_names::projection(layer, p);
    const QuantizedMatrix matrix = quantized(layer, p);
    const std::vector<at::Tensor> pieces = pieces_of(matrix);
    for (std::size_t i = 0; i < pieces.size(); ++i)
      made[piece_name(name, i)] = pieces[i].reshape({-1}).view(at::kByte);
    if (const auto* nf4 = std::get_if<nf4::Quantized>(&matrix))
      made[name + kMean] = at::scalar_tensor(nf4->absmax_mean, at::kFloat).view({1});
  }
  const std::vector<TensorShape> shapes = contents(layer);
  SafetensorsWriter writer(path(layer), shapes);
  for (const TensorShape& shape : shapes) writer.write(made.at(shape.name));
  writer.commit();
}

QuantizedMatrix CodeSource::quantized(std::int64_t layer, Projection projection) const {
  const at::Tensor stored = files_.stored_projection(layer, projection);
  QuantizedMatrix matrix = quantize(codec_, stored);
  drop_mapped_pages(stored.const_data_ptr(), stored.nbytes());
  return matrix;
}

QuantizedMatrix CodeSource::mapped(const SafetensorsFile& file, std::int64_t layer,
                                   Projection p) const {
  const std::string name = checkpoint_names::projection(layer, p);
  const auto shape = shape_of(config_, p);
  std::vector<at::Tensor> pieces;
  for (std::size_t i = 0; i < piece_sizes(codec_, shape.first, shape.second).size(); ++i)
    pieces.push_back(file.view(piece_name(name, i)));
  const bool has_mean = codec_ == WeightCodec::kNf4;
  return matrix_of(codec_, shape, pieces, has_mean ? file.view(name + kMean).item<float>() : 0);
}

QuantizedMatrix CodeSource::matrix(std::int64_t layer, Projection projection) {
  if (folder_.empty()) {
    read_bytes_ += static_cast<std::int64_t>(files_.stored_projection(layer, projection).nbytes());
    return quantized(layer, projection);
  }
  std::unique_ptr<SafetensorsFile>& file = opened_[layer];
  if (!file) file = std::make_unique<SafetensorsFile>(path(layer));
  QuantizedMatrix matrix = mapped(*file, layer, projection);
  read_bytes_ += std::visit([](const auto& codes) { return codes.bytes(); }, matrix);
  return matrix;
}

void CodeSource::release(std::int64_t layer) {
  opened_.erase(layer);
}

}  // namespace reflect
