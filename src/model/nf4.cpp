#include "nf4.h"

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "gpu_kernels.h"
#include "reflect/base/error.h"

namespace reflect::nf4 {

namespace {

std::int64_t parts(std::int64_t size, std::int64_t part) {
  return (size + part - 1) / part;
}

// Positive half of the signed dynamic map: for each of seven decades the means of neighbours among
// evenly spaced numbers from 0.1 to 1, twice as many in each further decade.
std::array<float, 256> make_absmax_values() {
  std::array<float, 256> values{};
  std::size_t count = 0;
  for (int decade = 0; decade < 7; ++decade) {
    const int intervals = 1 << decade;
    const float step = 0.9f / static_cast<float>(intervals);
    // As torch.linspace: counted from the nearer end.
    const auto boundary = [&](int i) {
      return i < (intervals + 1) / 2 ? 0.1f + step * static_cast<float>(i)
                                     : 1.0f - step * static_cast<float>(intervals - i);
    };
    const auto factor = static_cast<float>(std::pow(10.0, decade - 6));
    for (int i = 0; i < intervals; ++i) {
      const float mean = (boundary(i) + boundary(i + 1)) / 2.0f;
      values[count++] = factor * mean;
      values[count++] = -factor * mean;
    }
  }
  values[count++] = 0.0f;
  values[count++] = 1.0f;
  std::ranges::sort(values);
  return values;
}

// Index of the nearest of the sorted `values`; the lower of two equally near.
template <std::size_t N>
std::uint8_t nearest(const std::array<float, N>& values, float x) {
  const auto right = std::ranges::lower_bound(values, x);
  if (right == values.begin()) return 0;
  const auto left = right - 1;
  const bool take_right = right != values.end() && *right - x < x - *left;
  return static_cast<std::uint8_t>((take_right ? right : left) - values.begin());
}

// The code of x in [-1, 1], or of NaN (the weights of a block of zeros), which is 0.
std::uint8_t code_of(float x) {
  int upper = 0;  // first value above or at x
  for (const float value : kValues) upper += value < x;
  if (upper == 0) return 0;
  const auto right = static_cast<std::size_t>(upper);
  const bool take_right = kValues[right] - x < x - kValues[right - 1];
  return static_cast<std::uint8_t>(take_right ? right : right - 1);
}

template <class T>
float absmax_of(const T* weights, std::int64_t count) {
  float largest = 0;
  for (std::int64_t i = 0; i < count; ++i)
    largest = std::max(largest, std::abs(static_cast<float>(weights[i])));
  return largest;
}

// Codes of one block of `count` weights.
template <class T>
void quantize_block(const T* weights, std::int64_t count, float absmax, std::uint8_t* codes) {
  const float inverse = 1.0f / absmax;
  const auto code = [&](std::int64_t i) {
    return code_of(std::clamp(static_cast<float>(weights[i]) * inverse, -1.0f, 1.0f));
  };
  for (std::int64_t i = 0; i < count; i += 2) {
    const std::uint8_t low = i + 1 < count ? code(i + 1) : std::uint8_t{0};
    codes[i / 2] = static_cast<std::uint8_t>(code(i) << 4 | low);
  }
}

// Calls work(first, count) for the blocks of `block` items among `size`, on all threads.
template <class Work>
void for_each_block(std::int64_t size, std::int64_t block, const Work& work) {
  at::parallel_for(0, parts(size, block), std::max<std::int64_t>(1, kCut / block),
                   [&](std::int64_t begin, std::int64_t end) {
                     for (std::int64_t b = begin; b < end; ++b)
                       work(b, b * block, std::min(block, size - b * block));
                   });
}

at::Tensor block_absmax(const at::Tensor& weights) {
  if (!weights.is_cpu() || !weights.is_contiguous())
    fail("nf4", "weights must be contiguous and on the CPU");
  at::Tensor absmax = at::empty({parts(weights.numel(), kBlock)}, at::kFloat);
  float* out = absmax.mutable_data_ptr<float>();
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, weights.scalar_type(), "nf4", [&] {
    const scalar_t* data = weights.const_data_ptr<scalar_t>();
    for_each_block(weights.numel(), kBlock,
                   [&](std::int64_t b, std::int64_t first, std::int64_t count) {
                     out[b] = absmax_of(data + first, count);
                   });
  });
  return absmax;
}

std::vector<double> sums_of(const at::Tensor& absmax) {
  std::vector<double> sums(static_cast<std::size_t>(parts(absmax.numel(), kAbsmaxBlock)));
  const float* data = absmax.const_data_ptr<float>();
  for_each_block(absmax.numel(), kAbsmaxBlock,
                 [&](std::int64_t b, std::int64_t first, std::int64_t count) {
                   sums[static_cast<std::size_t>(b)] =
                       std::accumulate(data + first, data + first + count, 0.0);
                 });
  return sums;
}

void quantize_absmax(const at::Tensor& absmax, Quantized& result) {
  const std::int64_t blocks = absmax.numel();
  result.absmax = at::empty({blocks}, at::kByte);
  result.absmax_scale = at::empty({parts(blocks, kAbsmaxBlock)}, at::kFloat);
  std::vector<float> centred(static_cast<std::size_t>(blocks));
  const float* data = absmax.const_data_ptr<float>();
  std::transform(data, data + blocks, centred.begin(),
                 [&](float x) { return x - result.absmax_mean; });
  auto* codes = result.absmax.mutable_data_ptr<std::uint8_t>();
  float* scales = result.absmax_scale.mutable_data_ptr<float>();
  const auto& values = absmax_values();
  for_each_block(blocks, kAbsmaxBlock, [&](std::int64_t b, std::int64_t first, std::int64_t count) {
    scales[b] = absmax_of(centred.data() + first, count);
    const float inverse = 1.0f / scales[b];
    for (std::int64_t i = first; i < first + count; ++i)
      codes[i] = scales[b] == 0
                     ? std::uint8_t{0}
                     : nearest(values, std::clamp(centred[static_cast<std::size_t>(i)] * inverse,
                                                  -1.0f, 1.0f));
  });
}

Quantized quantize_with(const at::Tensor& weights, const at::Tensor& absmax, float mean) {
  Quantized result;
  result.size = weights.numel();
  result.absmax_mean = mean;
  result.codes = at::empty({parts(result.size, 2)}, at::kByte);
  auto* codes = result.codes.mutable_data_ptr<std::uint8_t>();
  const float* block_max = absmax.const_data_ptr<float>();
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, weights.scalar_type(), "nf4", [&] {
    const scalar_t* data = weights.const_data_ptr<scalar_t>();
    for_each_block(result.size, kBlock,
                   [&](std::int64_t b, std::int64_t first, std::int64_t count) {
                     quantize_block(data + first, count, block_max[b], codes + first / 2);
                   });
  });
  quantize_absmax(absmax, result);
  return result;
}

// What the codes of one block are multiplied with.
float block_scale(const Quantized& q, std::int64_t block) {
  const std::int64_t group = q.blocks.in_whole(block) / kAbsmaxBlock;
  const float scale = q.absmax_scale.const_data_ptr<float>()[group];
  const std::uint8_t code = q.absmax.const_data_ptr<std::uint8_t>()[block];
  // Volatile: rounded before the sum, never fused into a multiply-add, which would round once.
  const volatile float centred = absmax_values()[code] * scale;
  return centred + q.absmax_mean;
}

}  // namespace

const std::array<float, 256>& absmax_values() {
  static const std::array<float, 256> values = make_absmax_values();
  return values;
}

std::int64_t Quantized::bytes() const {
  return static_cast<std::int64_t>(codes.nbytes() + absmax.nbytes() + absmax_scale.nbytes());
}

Quantized columns(const Quantized& whole, std::int64_t rows, std::int64_t index,
                  std::int64_t count) {
  if (whole.size % (rows * count * kBlock) != 0)
    fail("nf4", "{} weights in {} rows cannot be cut into {} parts of whole blocks of {}",
         whole.size, rows, count, kBlock);
  const std::int64_t blocks = whole.size / kBlock / rows, width = blocks / count;
  const auto part = [&](const at::Tensor& of) {
    return of.view({rows, blocks, -1})
        .narrow(1, index * width, width)
        .clone(at::MemoryFormat::Contiguous)
        .view(-1);
  };
  Quantized own;
  own.size = whole.size / count;
  own.codes = part(whole.codes);
  own.absmax = part(whole.absmax);
  own.absmax_scale = whole.absmax_scale.clone();
  own.absmax_mean = whole.absmax_mean;
  own.blocks.first = static_cast<std::uint32_t>(index * width);
  own.blocks.width = static_cast<std::uint32_t>(width);
  own.blocks.gap = static_cast<std::uint32_t>(blocks - width);
  return own;
}

std::vector<double> absmax_sums(const at::Tensor& weights) {
  return sums_of(block_absmax(weights));
}

float mean_absmax(const std::vector<double>& sums, std::int64_t size) {
  const double sum = std::accumulate(sums.begin(), sums.end(), 0.0);
  return static_cast<float>(sum / static_cast<double>(parts(size, kBlock)));
}

Quantized quantize(const at::Tensor& weights) {
  const at::Tensor absmax = block_absmax(weights);
  return quantize_with(weights, absmax, mean_absmax(sums_of(absmax), weights.numel()));
}

Quantized quantize(const at::Tensor& weights, float absmax_mean) {
  return quantize_with(weights, block_absmax(weights), absmax_mean);
}

void dequantize(const Quantized& q, at::Tensor out) {
  if (!out.is_cpu()) return gpu::dequantize(q, out);
  const auto* codes = q.codes.const_data_ptr<std::uint8_t>();
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, out.scalar_type(), "nf4", [&] {
    scalar_t* data = out.mutable_data_ptr<scalar_t>();
    for_each_block(q.size, kBlock, [&](std::int64_t b, std::int64_t first, std::int64_t count) {
      std::array<scalar_t, 16> values;
      const float scale = block_scale(q, b);
      for (std::size_t i = 0; i < 16; ++i) values[i] = static_cast<scalar_t>(kValues[i] * scale);
      const std::uint8_t* block = codes + first / 2;
      for (std::int64_t i = 0; i < count; ++i)
        data[first + i] = values[i % 2 == 0 ? block[i / 2] >> 4 : block[i / 2] & 15];
    });
  });
}

}  // namespace reflect::nf4
