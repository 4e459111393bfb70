#include "quantized_weights.h"

#include <ATen/ops/empty.h>

#include <tuple>

#include "reflect/base/error.h"
#include "reflect/model/base_storage.h"

namespace reflect {

namespace {

at::Tensor on_device(const at::Tensor& tensor, const Runtime& runtime) {
  return tensor.to(runtime.device);
}

fp8::Quantized quantize_fp8(const at::Tensor& weights, const Runtime& runtime) {
  const fp8::Quantized q = fp8::quantize(weights);
  return {on_device(q.codes, runtime), on_device(q.scale, runtime)};
}

nf4::Quantized quantize_nf4(const at::Tensor& weights, const Runtime& runtime) {
  nf4::Quantized q = nf4::quantize(weights);
  for (at::Tensor* part : {&q.codes, &q.absmax, &q.absmax_scale}) *part = on_device(*part, runtime);
  return q;
}

}  // namespace

QuantizedWeights::QuantizedWeights(const std::string& folder, const LlamaConfig& config,
                                   const Runtime& runtime, WeightCodec codec)
    : runtime_(runtime) {
  StreamedWeights source(folder, config, runtime);
  embedding_ = source.embedding();
  for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    StoredBlock& block = blocks_.emplace_back();
    std::tie(block.input_norm, block.post_attention_norm) = source.norms(layer);
    for (const Projection p : kProjections) {
      const at::Tensor weights = source.stored_projection(layer, p);
      Quantized& quantized = block.projections[static_cast<std::size_t>(p)];
      if (codec == WeightCodec::kFp8) quantized = quantize_fp8(weights, runtime);
      if (codec == WeightCodec::kNf4) quantized = quantize_nf4(weights, runtime);
    }
  }
  final_norm_ = source.final_norm();
  lm_head_ = source.tied() ? embedding_ : source.lm_head();
  for (Buffer& buffer : buffers_) buffer = make_buffer(config);
}

QuantizedWeights::Buffer QuantizedWeights::make_buffer(const LlamaConfig& config) const {
  std::int64_t total = 0;
  for (const Projection p : kProjections) {
    const auto [out, in] = shape_of(config, p);
    total += out * in;
  }
  Buffer buffer;
  buffer.storage =
      at::empty({total}, at::TensorOptions().dtype(runtime_.dtype).device(runtime_.device));
  std::int64_t begin = 0;
  for (const Projection p : kProjections) {
    const auto [out, in] = shape_of(config, p);
    buffer.projections[static_cast<std::size_t>(p)] =
        buffer.storage.narrow(0, begin, out * in).view({out, in});
    begin += out * in;
  }
  return buffer;
}

BlockWeights QuantizedWeights::block(std::int64_t layer) {
  if (buffers_[last_].layer != layer) last_ = 1 - last_;
  Buffer& buffer = buffers_[last_];
  const StoredBlock& stored = blocks_[static_cast<std::size_t>(layer)];
  if (buffer.layer != layer) {
    for (std::size_t p = 0; p < kProjections.size(); ++p)
      std::visit([&](const auto& quantized) { dequantize(quantized, buffer.projections[p]); },
                 stored.projections[p]);
    buffer.layer = layer;
  }
  return {stored.input_norm, stored.post_attention_norm, buffer.projections};
}

std::int64_t QuantizedWeights::bytes() const {
  std::size_t total = embedding_.nbytes() + final_norm_.nbytes();
  if (!lm_head_.is_same(embedding_)) total += lm_head_.nbytes();
  for (const Buffer& buffer : buffers_) total += buffer.storage.nbytes();
  for (const StoredBlock& block : blocks_) {
    total += block.input_norm.nbytes() + block.post_attention_norm.nbytes();
    for (const Quantized& projection : block.projections)
      total +=
          static_cast<std::size_t>(std::visit([](const auto& q) { return q.bytes(); }, projection));
  }
  return static_cast<std::int64_t>(total);
}

std::shared_ptr<WeightSource> load_weights(const std::string& folder, const LlamaConfig& config,
                                           const Runtime& runtime, const BaseConfig& base) {
  if (base.storage == "dtype") return std::make_shared<ResidentWeights>(folder, config, runtime);
  if (base.storage == "fp8")
    return std::make_shared<QuantizedWeights>(folder, config, runtime, WeightCodec::kFp8);
  if (base.storage == "nf4")
    return std::make_shared<QuantizedWeights>(folder, config, runtime, WeightCodec::kNf4);
  fail_usage("model", "no base.storage '{}'; known: dtype, fp8, nf4", base.storage);
}

}  // namespace reflect
