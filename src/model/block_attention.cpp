#include "block_attention.h"

#include <ATen/Parallel.h>
#include <ATen/native/CPUBlas.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "lanes.h"

namespace reflect {

namespace {

constexpr std::int64_t kQueries = 32;  // of a block
constexpr std::int64_t kKeys = 64;     // of a block
constexpr std::int64_t kStep = 16;     // a part of a block is padded to a multiple of this

// Up to kKeys consecutive keys of one row.
struct KeyBlock {
  std::int64_t token;     // of the first key
  std::int64_t position;  // of the first key in its text
  std::int64_t count;
  std::int64_t padded() const { return (count + kStep - 1) / kStep * kStep; }
};

// Up to kQueries consecutive tokens of one row.
struct QueryBlock {
  std::int64_t row, token, position, count;
};

// The blocks of all rows, and for each row the key blocks that its text consists of.
struct BlockPlan {
  std::vector<KeyBlock> keys;
  std::vector<QueryBlock> queries;
  std::vector<std::vector<std::int64_t>> chain;  // [rows] indices into keys, in order of position

  explicit BlockPlan(const PackedRows& rows) {
    const std::vector<std::int64_t> first = rows.first_positions();
    for (std::int64_t r = 0; r < rows.rows(); ++r) {
      const std::int64_t parent = rows.parent.empty() ? -1 : rows.parent[r];
      chain.push_back(parent < 0 ? std::vector<std::int64_t>() : chain[parent]);
      const std::int64_t begin = rows.offsets[r], n = rows.length(r);
      for (std::int64_t i = 0; i < n; i += kKeys) {
        chain.back().push_back(static_cast<std::int64_t>(keys.size()));
        keys.push_back({begin + i, first[r] + i, std::min(kKeys, n - i)});
      }
      for (std::int64_t i = 0; i < n; i += kQueries)
        queries.push_back({r, begin + i, first[r] + i, std::min(kQueries, n - i)});
    }
  }
};

// Keys and values of one layer as the product kernel reads them: per key block and key head, keys
// as [head_dim][kKeys] and values as [kKeys][head_dim]; in bf16 two consecutive elements of the
// summed dimension stand beside each other. What pads a block is zero.
template <class T>
class PackedKeys {
 public:
  PackedKeys(const at::Tensor& k, const at::Tensor& v, const BlockPlan& plan,
             const AttentionShape& shape)
      : heads_(shape.kv_heads), size_(kKeys * shape.head_dim) {
    const auto blocks = static_cast<std::int64_t>(plan.keys.size());
    storage_ = at::empty({2, blocks * heads_, size_}, k.options());
    const T* kp = k.const_data_ptr<T>();
    const T* vp = v.const_data_ptr<T>();
    const std::int64_t d = shape.head_dim, stride = heads_ * d;
    at::parallel_for(0, blocks * heads_, 4, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const KeyBlock& block = plan.keys[i / heads_];
        const std::int64_t from = block.token * stride + i % heads_ * d;
        pack_keys(kp + from, stride, d, block, place(0, i));
        pack_values(vp + from, stride, d, block, place(1, i));
      }
    });
  }

  const T* keys(std::int64_t block, std::int64_t head) const {
    return place(0, block * heads_ + head);
  }
  const T* values(std::int64_t block, std::int64_t head) const {
    return place(1, block * heads_ + head);
  }

 private:
  static constexpr bool kPaired = std::is_same_v<T, at::BFloat16>;
  using Unit = std::uint32_t;  // one fp32 number or a pair of bf16 numbers

  T* place(std::int64_t which, std::int64_t index) const {
    return storage_.data_ptr<T>() + (which * storage_.size(1) + index) * size_;
  }

  static void pack_keys(const T* from, std::int64_t stride, std::int64_t d, const KeyBlock& block,
                        T* to) {
    const std::int64_t units = kPaired ? d / 2 : d;
    Unit* out = reinterpret_cast<Unit*>(to);
    for (std::int64_t j = 0; j < block.padded(); ++j) {
      const Unit* key = reinterpret_cast<const Unit*>(from + j * stride);
      for (std::int64_t u = 0; u < units; ++u) out[u * kKeys + j] = j < block.count ? key[u] : 0;
    }
  }

  static void pack_values(const T* from, std::int64_t stride, std::int64_t d, const KeyBlock& block,
                          T* to) {
    if constexpr (kPaired) {
      const std::vector<T> zeros(d, T(0));
      for (std::int64_t j = 0; j < block.padded(); j += 2) {
        const auto values = [&](std::int64_t key) {
          return key < block.count ? from + key * stride : zeros.data();
        };
        interleave(values(j), values(j + 1), d, reinterpret_cast<Unit*>(to + j * d));
      }
    } else {
      for (std::int64_t j = 0; j < block.count; ++j) std::copy_n(from + j * stride, d, to + j * d);
      std::fill(to + block.count * d, to + block.padded() * d, T(0));
    }
  }

  static void interleave(const T* first, const T* second, std::int64_t d, Unit* to) {
    for (std::int64_t i = 0; i < d; ++i)
      to[i] = static_cast<Unit>(first[i].x) | static_cast<Unit>(second[i].x) << 16;
  }

  std::int64_t heads_, size_;
  at::Tensor storage_;
};

// The scores of one block of queries against the key blocks of its text: scores and probabilities
// of key block b stand in [count][kKeys] from b * kQueries * kKeys on.
template <class T>
class QueryWork {
 public:
  QueryWork(const AttentionShape& shape, const BlockPlan& plan) : shape_(shape), plan_(plan) {}

  // One query head of one block: q and out are its first token's, `stride` elements a token.
  void attend(const QueryBlock& block, std::int64_t kv_head, const PackedKeys<T>& packed,
              const T* q, std::int64_t stride, T* out) {
    visible_.clear();
    for (const std::int64_t b : plan_.chain[block.row])
      if (is_visible(plan_.keys[b], block)) visible_.push_back(b);
    const std::size_t elements = visible_.size() * kQueries * kKeys;
    if (scores_.size() < elements) {
      scores_.resize(elements);
      probabilities_.resize(elements);
    }
    sums_.resize(kQueries * shape_.head_dim);
    const std::int64_t d = shape_.head_dim;
    for (std::size_t b = 0; b < visible_.size(); ++b)
      multiply(block.count, plan_.keys[visible_[b]].padded(), d, q, stride,
               packed.keys(visible_[b], kv_head), kKeys, scores_.data() + b * kQueries * kKeys,
               kKeys, false);
    for (std::int64_t i = 0; i < block.count; ++i) softmax(i, block.position + i);
    for (std::size_t b = 0; b < visible_.size(); ++b)
      multiply(block.count, d, plan_.keys[visible_[b]].padded(),
               probabilities_.data() + b * kQueries * kKeys, kKeys,
               packed.values(visible_[b], kv_head), d, sums_.data(), d, b > 0);
    for (std::int64_t i = 0; i < block.count; ++i)
      lanes::for_each(d, [&](std::int64_t j, std::int64_t count) {
        const lanes::Floats sum = lanes::load(sums_.data() + i * d + j, count);
        lanes::store(out + i * stride + j, sum * scale_of_row_[i], count);
      });
  }

 private:
  // c [m, n] = a [m, k] b [k, n], plus c with `add`.
  static void multiply(std::int64_t m, std::int64_t n, std::int64_t k, const T* a, std::int64_t lda,
                       const T* b, std::int64_t ldb, float* c, std::int64_t ldc, bool add) {
    at::native::cpublas::brgemm(m, n, k, lda, ldb, ldc, add, a, b, c,
                                std::is_same_v<T, at::BFloat16>);
  }

  bool is_visible(const KeyBlock& keys, const QueryBlock& queries) const {
    const bool past = keys.position <= queries.position + queries.count - 1;
    return past &&
           (!shape_.window || keys.position + keys.count - 1 > queries.position - *shape_.window);
  }

  // Keys [begin, end) of a block are seen from `position`.
  struct Seen {
    std::int64_t begin, end;
  };
  Seen seen(const KeyBlock& keys, std::int64_t position) const {
    const std::int64_t end = std::clamp<std::int64_t>(position + 1 - keys.position, 0, keys.count);
    const std::int64_t first = shape_.window ? position + 1 - *shape_.window - keys.position : 0;
    return {std::clamp<std::int64_t>(first, 0, end), end};
  }

  // Row i's probabilities, not yet divided by their sum, which goes into scale_of_row_.
  void softmax(std::int64_t i, std::int64_t position) {
    const float scale = 1.0f / std::sqrt(static_cast<float>(shape_.head_dim));
    float top = -INFINITY, sum = 0;
    for (std::size_t b = 0; b < visible_.size(); ++b) {
      const Seen s = seen(plan_.keys[visible_[b]], position);
      top = std::max(top, lanes::largest(row_of(scores_, b, i) + s.begin, s.end - s.begin));
    }
    for (std::size_t b = 0; b < visible_.size(); ++b) {
      const KeyBlock& keys = plan_.keys[visible_[b]];
      const Seen s = seen(keys, position);
      const float* score = row_of(scores_, b, i);
      T* p = row_of(probabilities_, b, i);
      std::fill(p, p + s.begin, T(0));
      sum += exponentials(score + s.begin, s.end - s.begin, scale, top, p + s.begin);
      std::fill(p + s.end, p + keys.padded(), T(0));
    }
    scale_of_row_[i] = 1.0f / sum;
  }

  template <class X>
  static X* row_of(std::vector<X>& blocks, std::size_t block, std::int64_t i) {
    return blocks.data() + block * kQueries * kKeys + static_cast<std::size_t>(i * kKeys);
  }

  // p = exp(scale (x - top)); returns the sum.
  static float exponentials(const float* x, std::int64_t n, float scale, float top, T* p) {
    lanes::Floats sum = {};
    lanes::for_each(n, [&](std::int64_t i, std::int64_t count) {
      lanes::Floats e = lanes::exp(scale * (lanes::load(x + i, count) - top));
      for (std::int64_t lane = count; lane < lanes::kWidth; ++lane) e[lane] = 0;
      sum += e;
      lanes::store(p + i, e, count);
    });
    return lanes::sum_of(sum);
  }

  const AttentionShape& shape_;
  const BlockPlan& plan_;
  std::vector<std::int64_t> visible_;  // key blocks that a query of this block sees
  std::vector<float> scores_, sums_;
  std::vector<T> probabilities_;
  float scale_of_row_[kQueries];
};

template <class T>
void attend_all(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                const BlockPlan& plan, const AttentionShape& shape, at::Tensor& out) {
  const PackedKeys<T> packed(k, v, plan, shape);
  const T* qp = q.const_data_ptr<T>();
  T* op = out.mutable_data_ptr<T>();
  const auto blocks = static_cast<std::int64_t>(plan.queries.size());
  const std::int64_t d = shape.head_dim, stride = shape.heads * d;
  // Heads outermost: every thread gets rows of all lengths.
  at::parallel_for(0, shape.heads * blocks, 2, [&](std::int64_t begin, std::int64_t end) {
    QueryWork<T> work(shape, plan);
    for (std::int64_t job = begin; job < end; ++job) {
      const std::int64_t head = job / blocks;
      const QueryBlock& block = plan.queries[job % blocks];
      const std::int64_t at = block.token * stride + head * d;
      work.attend(block, head / (shape.heads / shape.kv_heads), packed, qp + at, stride, op + at);
    }
    at::native::cpublas::brgemm_release(std::is_same_v<T, at::BFloat16>);
  });
}

}  // namespace

bool can_use_block_attention(const at::Tensor& q, const AttentionShape& shape) {
  if (!c10::InferenceMode::is_enabled() || !q.is_cpu() || shape.head_dim % 2 != 0) return false;
  if (q.scalar_type() == at::kFloat) return __builtin_cpu_supports("avx2");
  return q.scalar_type() == at::kBFloat16 && __builtin_cpu_supports("avx512bf16");
}

at::Tensor block_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           const PackedRows& rows, const AttentionShape& shape) {
  const at::Tensor queries = q.contiguous(), keys = k.contiguous(), values = v.contiguous();
  at::Tensor out = at::empty_like(queries);
  const BlockPlan plan(rows);
  if (q.scalar_type() == at::kFloat)
    attend_all<float>(queries, keys, values, plan, shape, out);
  else
    attend_all<at::BFloat16>(queries, keys, values, plan, shape, out);
  return out;
}

}  // namespace reflect
