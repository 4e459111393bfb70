#include "few_rows.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <vector>

#include "lanes.h"

namespace reflect {

namespace {

constexpr std::int64_t kPieceBytes = 32768;  // what a thread reads of the weight at a time

constexpr std::int64_t kBlock = 2 * lanes::kWidth;
constexpr std::int64_t kAhead = 512;  // bytes: so far ahead of its use a weight is fetched

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
  std::int64_t inner, outputs;

  // y[r, n] for all kRows rows, reading row n of the weight once. Few rows get two blocks at a
  // time: four chains of sums, as a multiplication takes longer than reading its operands.
  template <int kRows>
  void multiply(std::int64_t n) const {
    constexpr int kBlocks = kRows <= 2 ? 2 : 1;
    lanes::Floats first[kRows][kBlocks] = {}, second[kRows][kBlocks] = {};
    const T* w = weight + n * inner;
    const auto add = [&](std::int64_t k, int chain) {
      const TwoLanes block = load_block(w + k);
      for (int r = 0; r < kRows; ++r) {
        const float* row = x + r * inner + k;
        first[r][chain] += lanes::load(row) * block.first;
        second[r][chain] += lanes::load(row + lanes::kWidth) * block.second;
      }
    };
    std::int64_t k = 0;
    for (; k + kBlocks * kBlock <= inner; k += kBlocks * kBlock) {
      __builtin_prefetch(reinterpret_cast<const char*>(w + k) + kAhead);
      for (int chain = 0; chain < kBlocks; ++chain) add(k + chain * kBlock, chain);
    }
    for (; k + kBlock <= inner; k += kBlock) add(k, 0);
    for (int r = 0; r < kRows; ++r) {
      lanes::Floats lane_sums = first[r][0] + second[r][0];
      for (int chain = 1; chain < kBlocks; ++chain) lane_sums += first[r][chain] + second[r][chain];
      float sum = lanes::sum_of(lane_sums);
      for (std::int64_t rest = k; rest < inner; ++rest)
        sum += x[r * inner + rest] * static_cast<float>(w[rest]);
      y[r * outputs + n] = static_cast<T>(sum);
    }
  }

  template <int kRows>
  void multiply_range(std::int64_t begin, std::int64_t end) const {
    for (std::int64_t n = begin; n < end; ++n) multiply<kRows>(n);
  }
};

template <class T>
using RangeProduct = void (Operands<T>::*)(std::int64_t, std::int64_t) const;

template <class T>
RangeProduct<T> range_product(std::int64_t rows) {
  static constexpr RangeProduct<T> kByRows[kFewRows] = {
      &Operands<T>::template multiply_range<1>, &Operands<T>::template multiply_range<2>,
      &Operands<T>::template multiply_range<3>, &Operands<T>::template multiply_range<4>,
      &Operands<T>::template multiply_range<5>, &Operands<T>::template multiply_range<6>,
      &Operands<T>::template multiply_range<7>, &Operands<T>::template multiply_range<8>};
  return kByRows[rows - 1];
}

template <class T>
void multiply_all(const at::Tensor& x, const at::Tensor& weight, at::Tensor& y) {
  const std::int64_t inner = x.size(1);
  const std::vector<float> ordered = in_block_order<T>(x);
  const Operands<T> operands{ordered.data(), weight.const_data_ptr<T>(), y.mutable_data_ptr<T>(),
                             inner, y.size(1)};
  const RangeProduct<T> product = range_product<T>(x.size(0));
  // Threads take piece after piece, as one core may read faster than the other.
  const auto row_bytes = inner * static_cast<std::int64_t>(sizeof(T));
  const std::int64_t piece = std::max<std::int64_t>(1, kPieceBytes / (row_bytes + 1));
  const std::int64_t pieces = (operands.outputs + piece - 1) / piece;
  const auto threads = std::clamp<std::int64_t>(pieces / 4, 1, at::get_num_threads());
  std::atomic<std::int64_t> next = 0;
  at::parallel_for(0, threads, 1, [&](auto, auto) {
    for (std::int64_t i = next++; i < pieces; i = next++)
      (operands.*product)(i * piece, std::min((i + 1) * piece, operands.outputs));
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
