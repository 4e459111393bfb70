// The two ways to hold a matrix in few bits behind one name, and the pieces that each consists of.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "fp8.h"
#include "nf4.h"
#include "reflect/model/weights.h"

namespace reflect {

enum class WeightCodec { kFp8, kNf4 };

// Of BaseConfig::storage: "fp8", "nf4"; "dtype" is none. Throws Error (usage) for others.
std::optional<WeightCodec> codec_of(const std::string& storage);

using QuantizedMatrix = std::variant<fp8::Quantized, nf4::Quantized>;

// `weights` [out, in]: contiguous, any floating type, on the CPU.
QuantizedMatrix quantize(WeightCodec codec, const at::Tensor& weights);
// A copy of a slice of a projection [out, in] with the codes and the values of the whole; all of it
// as it is. NF4's must be of whole blocks (tensor_parallel.h: require_cut).
QuantizedMatrix sliced(const QuantizedMatrix& whole, std::int64_t out, Projection projection,
                       const Slice& slice);
// Writes the weights into `out` [out, in], contiguous fp32 or bf16.
void dequantize(const QuantizedMatrix& matrix, const at::Tensor& out);

// Codes and scales, each contiguous; without NF4's mean absmax, which is a number.
std::vector<at::Tensor> pieces_of(const QuantizedMatrix& matrix);
// Bytes of each piece of a matrix [out, in].
std::vector<std::int64_t> piece_sizes(WeightCodec codec, std::int64_t out, std::int64_t in);
// The matrix [out, in] of pieces that are given as bytes (uint8), which it shares.
QuantizedMatrix matrix_of(WeightCodec codec, std::pair<std::int64_t, std::int64_t> shape,
                          const std::vector<at::Tensor>& pieces, float absmax_mean);

// Room for the projections of one block, one behind the other.
struct BlockBuffer {
  std::int64_t layer = -1;  // whose weights it holds
  at::Tensor storage;       // [weights of a block]
  std::array<at::Tensor, 7> projections;
};
BlockBuffer make_block_buffer(const LlamaConfig& config, const Runtime& runtime);

}  // namespace reflect
