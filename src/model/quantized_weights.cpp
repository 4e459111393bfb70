#include "quantized_weights.h"

#include <tuple>

#include "reflect/model/tensor_parallel.h"

namespace reflect {

namespace {

QuantizedMatrix on_device(const QuantizedMatrix& matrix, const Runtime& runtime) {
  QuantizedMatrix moved = matrix;
  const auto move = [&](at::Tensor& piece) { piece = piece.to(runtime.device); };
  if (auto* q = std::get_if<fp8::Quantized>(&moved)) {
    move(q->codes);
    move(q->scale);
  }
  if (auto* q = std::get_if<nf4::Quantized>(&moved)) {
    move(q->codes);
    move(q->absmax);
    move(q->absmax_scale);
  }
  return moved;
}

}  // namespace

QuantizedWeights::QuantizedWeights(const std::string& folder, const LlamaConfig& config,
                                   const Runtime& runtime, WeightCodec codec,
                                   const std::string& cache, ProcessGroup tensor_group)
    : tensor_group_(std::move(tensor_group)),
      files_(folder, config, runtime),
      codes_(folder, files_, config, codec, cache) {
  const Slice slice = slice_of(tensor_group_);
  embedding_ = files_.embedding();
  for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    StoredBlock& block = blocks_.emplace_back();
    std::tie(block.input_norm, block.post_attention_norm) = files_.norms(layer);
    for (const Projection p : kProjections)
      block.projections[static_cast<std::size_t>(p)] =
          on_device(sliced(codes_.matrix(layer, p), shape_of(config, p).first, p, slice), runtime);
    if (!runtime.device.is_cpu() || slice.count > 1) codes_.release(layer);
  }
  final_norm_ = files_.final_norm();
  lm_head_ = files_.tied() ? embedding_ : files_.lm_head();
  for (BlockBuffer& buffer : buffers_)
    buffer = make_block_buffer(sliced(config, slice.count), runtime);
}

BlockWeights QuantizedWeights::block(std::int64_t layer) {
  if (buffers_[last_].layer != layer) last_ = 1 - last_;
  BlockBuffer& buffer = buffers_[last_];
  const StoredBlock& stored = blocks_[static_cast<std::size_t>(layer)];
  if (buffer.layer != layer) {
    for (std::size_t p = 0; p < kProjections.size(); ++p)
      dequantize(stored.projections[p], buffer.projections[p]);
    buffer.layer = layer;
  }
  return {stored.input_norm, stored.post_attention_norm, buffer.projections};
}

std::int64_t QuantizedWeights::bytes() const {
  std::size_t total = embedding_.nbytes() + final_norm_.nbytes();
  if (!lm_head_.is_same(embedding_)) total += lm_head_.nbytes();
  for (const BlockBuffer& buffer : buffers_) total += buffer.storage.nbytes();
  for (const StoredBlock& block : blocks_) {
    total += block.input_norm.nbytes() + block.post_attention_norm.nbytes();
    for (const QuantizedMatrix& projection : block.projections)
      total +=
          static_cast<std::size_t>(std::visit([](const auto& q) { return q.bytes(); }, projection));
  }
  return static_cast<std::int64_t>(total);
}

}  // namespace reflect
