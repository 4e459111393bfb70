#include "fp8.h"

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <c10/util/Float8_e4m3fn.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "gpu_kernels.h"
#include "reflect/base/error.h"

namespace reflect::fp8 {

namespace {

using Code = c10::Float8_e4m3fn;

template <class T>
float scale_of(const T* row, std::int64_t columns) {
  float largest = 0;
  for (std::int64_t i = 0; i < columns; ++i)
    largest = std::max(largest, std::abs(static_cast<float>(row[i])));
  return largest == 0 ? 1.0f : largest / kLargest;
}

template <class Work>
void for_each_row(const at::Tensor& matrix, const Work& work) {
  const std::int64_t grain = std::max<std::int64_t>(1, 32768 / matrix.size(1));
  at::parallel_for(0, matrix.size(0), grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) work(row);
  });
}

const std::array<float, 256>& values() {
  static const std::array<float, 256> table = [] {
    std::array<float, 256> all{};
    for (std::size_t i = 0; i < all.size(); ++i)
      all[i] = static_cast<float>(Code(static_cast<std::uint8_t>(i), Code::from_bits()));
    return all;
  }();
  return table;
}

}  // namespace

std::int64_t Quantized::bytes() const {
  return static_cast<std::int64_t>(codes.nbytes() + scale.nbytes());
}

Quantized quantize(const at::Tensor& weights) {
  if (!weights.is_cpu() || !weights.is_contiguous() || weights.dim() != 2)
    fail("fp8", "weights must be a contiguous matrix on the CPU");
  const std::int64_t columns = weights.size(1);
  Quantized result{at::empty(weights.sizes(), at::kFloat8_e4m3fn),
                   at::empty({weights.size(0)}, at::kFloat)};
  Code* codes = result.codes.mutable_data_ptr<Code>();
  float* scales = result.scale.mutable_data_ptr<float>();
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, weights.scalar_type(), "fp8", [&] {
    const scalar_t* data = weights.const_data_ptr<scalar_t>();
    for_each_row(weights, [&](std::int64_t r) {
      const scalar_t* row = data + r * columns;
      scales[r] = scale_of(row, columns);
      for (std::int64_t i = 0; i < columns; ++i)
        codes[r * columns + i] =
            Code(std::clamp(static_cast<float>(row[i]) / scales[r], -kLargest, kLargest));
    });
  });
  return result;
}

void dequantize(const Quantized& q, at::Tensor out) {
  if (!out.is_cpu()) return gpu::dequantize(q, out);
  const std::int64_t columns = q.codes.size(1);
  const Code* codes = q.codes.const_data_ptr<Code>();
  const float* scales = q.scale.const_data_ptr<float>();
  const auto& table = values();
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, out.scalar_type(), "fp8", [&] {
    scalar_t* data = out.mutable_data_ptr<scalar_t>();
    for_each_row(q.codes, [&](std::int64_t r) {
      const Code* row = codes + r * columns;
      for (std::int64_t i = 0; i < columns; ++i)
        data[r * columns + i] = static_cast<scalar_t>(table[row[i].x] * scales[r]);
    });
  });
}

}  // namespace reflect::fp8
