#include "few_rows.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <bit>
#include <cstring>
#include <vector>

#include "lanes.h"

namespace reflect {

namespace {

// What a thread reads of the weight at least. Each has one range: two that take turns in pieces of
// a weight get half the memory's rate.
constexpr std::int64_t kLeastBytes = 1 << 17;

constexpr std::int64_t kBlock = 2 * lanes::kWidth;

struct TwoLanes {
  lanes::Floats first, second;
};

TwoLanes load_block(const float* from) {
  return {lanes::load(from), lanes::load(from + lanes::kWidth)};
}

// The even elements, then the odd ones: a shift and a mask, cheaper than to keep their order.
TwoLanes load_block(const at::BFloat16* from) {
  lanes::Words pairs;
  std::memcpy(&pairs, from, sizeof pairs);
  return {std::bit_cast<lanes::Floats>(pairs << 16),
          std::bit_cast<lanes::Floats>(pairs & 0xffff0000u)};
}

// x [M, K] in fp32, each whole block of a row in the order in which load_block<T> gives a weight's.
template <class T>
std::vector<float> in_block_order(const at::Tensor& x) {
  const T* from = x.const_data_ptr<T>();
  const std::int64_t inner = x.size(1), whole = inner - inner % kBlock;
  std::vector<float> ordered(static_cast<std::size_t>(x.numel()));
  for (std::int64_t row = 0; row < x.size(0); ++row) {
    const T* source = from + row * inner;
    float* to = ordered.data() + row * inner;
    for (std::int64_t k = 0; k < whole; k += kBlock) {
      const TwoLanes block = load_block(source + k);
      lanes::store(to + k, block.first);
      lanes::store(to + k + lanes::kWidth, block.second);
    }
    for (std::int64_t k = whole; k < inner; ++k) to[k] = static_cast<float>(source[k]);
  }
  return ordered;
}

// Rows of x in block order, rows of the weight as they are stored, and where y [M, outputs] goes.
template <class T>
struct Operands {
  const float* x;
  const T* weight;
  T* y;
  std::int64_t rows, inner, outputs;

  // y[row ... row + kRows, n]. Fewer rows take more blocks at a time: eight chains of sums in any
  // case, as a multiplication takes longer than reading its operands.
  template <int kRows>
  void multiply(std::int64_t row, std::int64_t n) const {
    constexpr int kBlocks = 4 / kRows;
    lanes::Floats first[kRows][kBlocks] = {}, second[kRows][kBlocks] = {};
    const T* w = weight + n * inner;
    const float* values = x + row * inner;
    const auto add = [&](std::int64_t k, int chain) {
      const TwoLanes block = load_block(w + k);
      for (int r = 0; r < kRows; ++r) {
        const float* from = values + r * inner + k;
        first[r][chain] += lanes::load(from) * block.first;
        second[r][chain] += lanes::load(from + lanes::kWidth) * block.second;
      }
    };
    std::int64_t k = 0;
    for (; k + kBlocks * kBlock <= inner; k += kBlocks * kBlock)
      for (int chain = 0; chain < kBlocks; ++chain) add(k + chain * kBlock, chain);
    for (; k + kBlock <= inner; k += kBlock) add(k, 0);
    for (int r = 0; r < kRows; ++r) {
      lanes::Floats lane_sums = first[r][0] + second[r][0];
      for (int chain = 1; chain < kBlocks; ++chain) lane_sums += first[r][chain] + second[r][chain];
      float sum = lanes::sum_of(lane_sums);
      for (std::int64_t rest = k; rest < inner; ++rest)
        sum += values[r * inner + rest] * static_cast<float>(w[rest]);
      y[(row + r) * outputs + n] = static_cast<T>(sum);
    }
  }

  // Column n of y. Row n of the weight comes from memory for the first rows, then from the cache.
  void multiply_all_rows(std::int64_t n) const {
    std::int64_t row = 0;
    for (; row + 4 <= rows; row += 4) multiply<4>(row, n);
    if (rows - row >= 2) multiply<2>(row, n), row += 2;
    if (rows - row == 1) multiply<1>(row, n);
  }
};

template <class T>
void multiply_all(const at::Tensor& x, const at::Tensor& weight, at::Tensor& y) {
  const std::vector<float> ordered = in_block_order<T>(x);
  const Operands<T> operands{
      ordered.data(), weight.const_data_ptr<T>(), y.mutable_data_ptr<T>(), x.size(0), x.size(1),
      y.size(1)};
  const auto row_bytes = x.size(1) * static_cast<std::int64_t>(sizeof(T));
  const std::int64_t grain = kLeastBytes / (row_bytes + 1) + 1;
  at::parallel_for(0, operands.outputs, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) operands.multiply_all_rows(n);
  });
}

}  // namespace

bool is_few_rows(const at::Tensor& x, const at::Tensor& weight) {
  const at::ScalarType type = x.scalar_type();
  return x.size(0) >= 1 && x.size(0) <= kFewRows && x.is_cpu() && weight.is_cpu() &&
         (type == at::kFloat || type == at::kBFloat16) && weight.scalar_type() == type &&
         x.is_contiguous() && weight.is_contiguous();
}

at::Tensor few_rows_product(const at::Tensor& x, const at::Tensor& weight) {
  at::Tensor y = at::empty({x.size(0), weight.size(0)}, x.options());
  if (x.scalar_type() == at::kFloat) {
    multiply_all<float>(x, weight, y);
  } else {
    multiply_all<at::BFloat16>(x, weight, y);
  }
  return y;
}

}  // namespace reflect
