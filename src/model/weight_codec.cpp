#include "weight_codec.h"

#include <ATen/ops/empty.h>

#include "reflect/base/error.h"
#include "reflect/model/tensor_parallel.h"

namespace reflect {

std::optional<WeightCodec> codec_of(const std::string& storage) {
  if (storage == "dtype") return std::nullopt;
  if (storage == "fp8") return WeightCodec::kFp8;
  if (storage == "nf4") return WeightCodec::kNf4;
  fail_usage("model", "no base.storage '{}'; known: dtype, fp8, nf4", storage);
}

QuantizedMatrix quantize(WeightCodec codec, const at::Tensor& weights) {
  if (codec == WeightCodec::kFp8) return fp8::quantize(weights);
  return nf4::quantize(weights);
}

QuantizedMatrix sliced(const QuantizedMatrix& whole, std::int64_t out, Projection projection,
                       const Slice& slice) {
  if (slice.count == 1) return whole;
  // Rows that follow each other are columns of one long row.
  if (const auto* nf4 = std::get_if<nf4::Quantized>(&whole))
    return nf4::columns(*nf4, is_cut_by_input(projection) ? out : 1, slice.index, slice.count);
  const auto* fp8 = std::get_if<fp8::Quantized>(&whole);
  // A row has one scale.
  const at::Tensor scale =
      is_cut_by_input(projection) ? fp8->scale : sliced(fp8->scale, projection, slice);
  return fp8::Quantized{sliced(fp8->codes, projection, slice).clone(at::MemoryFormat::Contiguous),
                        scale.clone()};
}

void dequantize(const QuantizedMatrix& matrix, const at::Tensor& out) {
  std::visit([&](const auto& quantized) { dequantize(quantized, out); }, matrix);
}

std::vector<at::Tensor> pieces_of(const QuantizedMatrix& matrix) {
  if (const auto* q = std::get_if<fp8::Quantized>(&matrix)) return {q->codes, q->scale};
  const auto& q = std::get<nf4::Quantized>(matrix);
  return {q.codes, q.absmax, q.absmax_scale};
}

std::vector<std::int64_t> piece_sizes(WeightCodec codec, std::int64_t out, std::int64_t in) {
  constexpr std::int64_t kFloatBytes = 4;
  const std::int64_t size = out * in;
  if (codec == WeightCodec::kFp8) return {size, out * kFloatBytes};
  const auto groups = [&](std::int64_t of) { return (size + of - 1) / of; };
  return {groups(2), groups(nf4::kBlock), groups(nf4::kCut) * kFloatBytes};
}

QuantizedMatrix matrix_of(WeightCodec codec, std::pair<std::int64_t, std::int64_t> shape,
                          const std::vector<at::Tensor>& pieces, float absmax_mean) {
  const auto [out, in] = shape;
  if (codec == WeightCodec::kFp8)
    return fp8::Quantized{pieces[0].view(at::kFloat8_e4m3fn).view({out, in}),
                          pieces[1].view(at::kFloat)};
  return nf4::Quantized{out * in,    pieces[0], pieces[1], pieces[2].view(at::kFloat),
                        absmax_mean, {}};
}

BlockBuffer make_block_buffer(const LlamaConfig& config, const Runtime& runtime) {
  std::int64_t total = 0;
  for (const Projection p : kProjections) {
    const auto [out, in] = shape_of(config, p);
    total += out * in;
  }
  BlockBuffer buffer;
  buffer.storage =
      at::empty({total}, at::TensorOptions().dtype(runtime.dtype).device(runtime.device));
  std::int64_t begin = 0;
  for (const Projection p : kProjections) {
    const auto [out, in] = shape_of(config, p);
    buffer.projections[static_cast<std::size_t>(p)] =
        buffer.storage.narrow(0, begin, out * in).view({out, in});
    begin += out * in;
  }
  return buffer;
}

}  // namespace reflect
