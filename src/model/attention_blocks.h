// Packed rows cut into blocks of queries and keys, laid out as the product kernel reads them.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/native/CPUBlas.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "attention.h"
#include "lanes.h"

namespace reflect::blocks {

inline constexpr std::int64_t kKeys = 64;  // of a block
inline constexpr std::int64_t kStep = 16;  // parts of a block are padded to a multiple of this

inline std::int64_t padded(std::int64_t count) {
  return (count + kStep - 1) / kStep * kStep;
}

// Up to kKeys consecutive keys of one row.
struct KeyBlock {
  std::int64_t token;     // of the first key
  std::int64_t position;  // of the first key in its text
  std::int64_t count;
};

// Consecutive tokens of one row.
struct QueryBlock {
  std::int64_t row, token, position, count;
};

// The blocks of all rows, and for each row the key blocks that its text consists of.
struct BlockPlan {
  std::vector<KeyBlock> keys;
  std::vector<QueryBlock> queries;
  std::vector<std::vector<std::int64_t>> chain;  // [rows] indices into keys, in order of position

  // `size`: queries of a block.
  BlockPlan(const PackedRows& rows, std::int64_t size);
};

// The part [begin, end) of a block.
struct Seen {
  std::int64_t begin, end;
};

// The keys of a block that a query at `position` sees.
inline Seen seen_keys(const KeyBlock& keys, std::int64_t position,
                      const std::optional<std::int64_t>& window) {
  const std::int64_t end = std::clamp<std::int64_t>(position + 1 - keys.position, 0, keys.count);
  const std::int64_t first = window ? position + 1 - *window - keys.position : 0;
  return {std::clamp<std::int64_t>(first, 0, end), end};
}

// The queries of a block that see the key at `position`.
inline Seen seeing_queries(const QueryBlock& queries, std::int64_t position,
                           const std::optional<std::int64_t>& window) {
  const std::int64_t begin =
      std::clamp<std::int64_t>(position - queries.position, 0, queries.count);
  const std::int64_t last = window ? position + *window - queries.position : queries.count;
  return {begin, std::clamp<std::int64_t>(last, begin, queries.count)};
}

// Whether any query of a block sees any key of another, of one text.
inline bool is_visible(const KeyBlock& keys, const QueryBlock& queries,
                       const std::optional<std::int64_t>& window) {
  const bool past = keys.position <= queries.position + queries.count - 1;
  return past && (!window || keys.position + keys.count - 1 > queries.position - *window);
}

// Of a product's right side in bf16, two consecutive elements of the summed dimension stand beside
// each other.
template <class T>
inline constexpr bool kPaired = std::is_same_v<T, at::BFloat16>;
using Unit = std::uint32_t;  // one fp32 number or a pair of bf16 numbers

// `count` rows of d elements, `stride` apart, as the right side [d][width] of a product that sums
// over d; zeros up to the padded count.
template <class T>
void pack_columns(const T* from, std::int64_t stride, std::int64_t count, std::int64_t d, T* to,
                  std::int64_t width) {
  const std::int64_t units = kPaired<T> ? d / 2 : d;
  Unit* out = reinterpret_cast<Unit*>(to);
  for (std::int64_t j = 0; j < padded(count); ++j) {
    const Unit* row = reinterpret_cast<const Unit*>(from + j * stride);
    for (std::int64_t u = 0; u < units; ++u) out[u * width + j] = j < count ? row[u] : 0;
  }
}

// The same rows as the right side [count][d] of a product that sums over them.
template <class T>
void pack_rows(const T* from, std::int64_t stride, std::int64_t count, std::int64_t d, T* to) {
  if constexpr (kPaired<T>) {
    const std::vector<T> zeros(static_cast<std::size_t>(d), T(0));
    const auto row = [&](std::int64_t j) { return j < count ? from + j * stride : zeros.data(); };
    for (std::int64_t j = 0; j < padded(count); j += 2) {
      Unit* out = reinterpret_cast<Unit*>(to + j * d);
      const T *first = row(j), *second = row(j + 1);
      for (std::int64_t i = 0; i < d; ++i)
        out[i] = static_cast<Unit>(first[i].x) | static_cast<Unit>(second[i].x) << 16;
    }
  } else {
    for (std::int64_t j = 0; j < count; ++j) std::copy_n(from + j * stride, d, to + j * d);
    std::fill(to + count * d, to + padded(count) * d, T(0));
  }
}

// [m, n] of a product, and k that it sums over.
struct ProductShape {
  std::int64_t m, n, k;
};

// c = a [m, k] b [k, n], plus c with `add`; b packed; ld: elements from row to row.
template <class T>
void multiply(const ProductShape& shape, const T* a, std::int64_t lda, const T* b, std::int64_t ldb,
              float* c, std::int64_t ldc, bool add) {
  at::native::cpublas::brgemm(shape.m, shape.n, shape.k, lda, ldb, ldc, add, a, b, c, kPaired<T>);
}

// After a thread's last product.
template <class T>
void release() {
  at::native::cpublas::brgemm_release(kPaired<T>);
}

}  // namespace reflect::blocks
