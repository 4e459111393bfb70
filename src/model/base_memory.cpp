#include <algorithm>
#include <vector>

#include "gathered_units.h"
#include "reflect/model/memory.h"
#include "reflect/model/tensor_parallel.h"
#include "weight_codec.h"

namespace reflect {

namespace {

std::int64_t projection_weights(const LlamaConfig& model) {
  std::int64_t weights = 0;
  for (const Projection p : kProjections) {
    const auto [out, in] = shape_of(model, p);
    weights += out * in;
  }
  return weights;
}

std::int64_t rounded_up(std::int64_t bytes, std::int64_t step) {
  return (bytes + step - 1) / step * step;
}

// Of one block's projections, each piece rounded up to a multiple of `alignment`.
std::int64_t projection_bytes(const LlamaConfig& model, const BaseLayout& layout,
                              std::int64_t alignment) {
  const auto width = static_cast<std::int64_t>(c10::elementSize(layout.dtype));
  const auto codec = codec_of(layout.storage);
  std::int64_t bytes = 0;
  for (const Projection p : kProjections) {
    const auto [out, in] = shape_of(model, p);
    if (!codec) {
      bytes += rounded_up(out * in * width, alignment);
      continue;
    }
    for (const std::int64_t piece : piece_sizes(*codec, out, in))
      bytes += rounded_up(piece, alignment);
  }
  return bytes;
}

// Of the embedding, the blocks and the output matrix, as ShardedWeights lays them out.
std::vector<std::int64_t> unit_sizes(const LlamaConfig& model, const BaseLayout& layout) {
  constexpr std::int64_t kCut = GatheredUnits::kCut;
  const auto width = static_cast<std::int64_t>(c10::elementSize(layout.dtype));
  const std::int64_t table = rounded_up(model.vocab_size * model.hidden_size * width, kCut);
  const std::int64_t block =
      2 * rounded_up(model.hidden_size * width, kCut) + projection_bytes(model, layout, kCut);
  std::vector<std::int64_t> sizes = {table};
  sizes.insert(sizes.end(), static_cast<std::size_t>(model.num_hidden_layers), block);
  if (!model.tie_word_embeddings) sizes.push_back(table);
  return sizes;
}

BaseMemory whole_base(const LlamaConfig& model, const BaseLayout& layout) {
  const auto width = static_cast<std::int64_t>(c10::elementSize(layout.dtype));
  const std::int64_t layers = model.num_hidden_layers;
  const std::int64_t tables = model.tie_word_embeddings ? 1 : 2;
  const LlamaConfig own = sliced(model, layout.tensor_parallel);
  BaseMemory memory;
  memory.weights = (tables * model.vocab_size + 2 * layers + 1) * model.hidden_size * width +
                   layers * projection_bytes(own, layout, 1);
  if (codec_of(layout.storage)) memory.buffers = 2 * projection_weights(own) * width;
  return memory;
}

}  // namespace

bool is_lasting(const BaseLayout& layout) {
  return layout.placement == "replicate" && layout.storage == "dtype";
}

BaseMemory base_memory(const LlamaConfig& model, const BaseLayout& layout) {
  if (layout.placement == "replicate") return whole_base(model, layout);
  const auto width = static_cast<std::int64_t>(c10::elementSize(layout.dtype));
  const bool offload = layout.placement == "offload", coded = codec_of(layout.storage).has_value();
  const bool in_files = offload && layout.on_cpu && !coded, on_host = offload && !layout.on_cpu;
  const std::int64_t ranks = offload ? 1 : layout.ranks, step = GatheredUnits::kCut * ranks;
  std::int64_t all = 0, largest = 0;
  for (const std::int64_t size : unit_sizes(model, layout)) {
    all += rounded_up(size, step);
    largest = std::max(largest, rounded_up(size, step));
  }
  const bool gathers = ranks > 1 || in_files || on_host;
  BaseMemory memory;
  memory.weights = model.hidden_size * width + (in_files || on_host ? 0 : all / ranks);
  memory.buffers = (gathers ? 2 * largest : 0) + (coded ? projection_weights(model) * width : 0);
  memory.host = on_host ? all : 0;
  if (gathers) memory.arriving = offload ? all : all / ranks * (ranks - 1);
  return memory;
}

std::int64_t head_adapter_size(const LlamaConfig& model, const LoraConfig& lora) {
  if (lora.has_target(kHeadTarget))
    return lora.rank * (model.vocab_size + model.hidden_size) + (lora.dora ? model.vocab_size : 0);
  return model.tie_word_embeddings ? 0 : lora.token_count() * model.hidden_size;
}

std::int64_t adapter_size(const LlamaConfig& model, const LoraConfig& lora) {
  std::int64_t block = 0;
  for (const Projection p : kProjections) {
    if (!lora.has_target(name_of(p))) continue;
    const auto [out, in] = shape_of(model, p);
    block += lora.rank * (out + in) + (lora.dora ? out : 0);
  }
  return block * model.num_hidden_layers + head_adapter_size(model, lora) +
         lora.token_count() * model.hidden_size;
}

}  // namespace reflect
