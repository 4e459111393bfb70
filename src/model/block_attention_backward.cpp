#include "block_attention_backward.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <vector>

#include "attention_blocks.h"

namespace reflect {

namespace {

using blocks::BlockPlan, blocks::KeyBlock, blocks::kKeys, blocks::padded, blocks::QueryBlock;

constexpr std::int64_t kTileQueries = 64;  // of a block

// The tensors by address. Of a token's head h, q and its like have head_dim elements from
// token * q_stride + h * head_dim on, k and its like from token * k_stride on.
template <class T>
struct Pointers {
  const T *q, *k, *v, *out, *dout;
  const float* log_sums;
  T* dq;
  float *dk, *dv;
  std::int64_t tokens, q_stride, k_stride;
};

// A block of queries of one head as the right sides of products, and what its probabilities need.
template <class T>
struct PackedQueries {
  explicit PackedQueries(std::int64_t d)
      : q_columns(kTileQueries * d),
        q_rows(kTileQueries * d),
        dout_columns(kTileQueries * d),
        dout_rows(kTileQueries * d) {}

  std::vector<T> q_columns, q_rows, dout_columns, dout_rows;
  float log_sum[kTileQueries], dot[kTileQueries];  // dot: dout . out
};

// A block of keys transposed, [d][kKeys], with zeros up to the padded count.
template <class T>
void transpose(const T* from, std::int64_t stride, std::int64_t count, std::int64_t d, T* to) {
  for (std::int64_t i = 0; i < d; ++i) {
    for (std::int64_t j = 0; j < count; ++j) to[i * kKeys + j] = from[j * stride + i];
    std::fill(to + i * kKeys + count, to + i * kKeys + padded(count), T(0));
  }
}

// What stands in two rows, in turn: `from` in one, kTileQueries further in the other.
void interleave(const at::BFloat16* from, at::BFloat16* to) {
  for (std::int64_t i = 0; i < lanes::kWidth; ++i) {
    to[2 * i] = from[i];
    to[2 * i + 1] = from[kTileQueries + i];
  }
}

// One key head of the rows that hang together, with all query heads that read it.
template <class T>
class TreeWork {
 public:
  TreeWork(const Pointers<T>& at, const BlockPlan& plan, const AttentionShape& shape)
      : at_(at),
        plan_(plan),
        shape_(shape),
        d_(shape.head_dim),
        queries_(d_),
        keys_t_(plan.keys.size()),
        dq_t_(kTileQueries * d_) {}

  void run(std::int64_t tree, const std::vector<std::int64_t>& tree_of, std::int64_t kv_head) {
    const std::int64_t group = shape_.heads / shape_.kv_heads;
    for (std::vector<T>& keys : keys_t_) keys.clear();
    for (std::int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head)
      for (const QueryBlock& block : plan_.queries)
        if (tree_of[block.row] == tree) add_block(block, head, kv_head);
  }

 private:
  void add_block(const QueryBlock& block, std::int64_t head, std::int64_t kv_head) {
    pack(block, head);
    bool first = true;
    for (const std::int64_t b : plan_.chain[block.row]) {
      if (!is_visible(plan_.keys[b], block, shape_.window)) continue;
      add_tile(block, b, kv_head, first);
      first = false;
    }
    T* dq = at_.dq + block.token * at_.q_stride + head * d_;
    for (std::int64_t i = 0; i < block.count; ++i)
      for (std::int64_t j = 0; j < d_; ++j)
        dq[i * at_.q_stride + j] = static_cast<T>(dq_t_[j * kTileQueries + i]);
  }

  void pack(const QueryBlock& block, std::int64_t head) {
    const std::int64_t from = block.token * at_.q_stride + head * d_, stride = at_.q_stride;
    const T *q = at_.q + from, *dout = at_.dout + from, *out = at_.out + from;
    blocks::pack_columns(q, stride, block.count, d_, queries_.q_columns.data(), kTileQueries);
    blocks::pack_rows(q, stride, block.count, d_, queries_.q_rows.data());
    blocks::pack_columns(dout, stride, block.count, d_, queries_.dout_columns.data(), kTileQueries);
    blocks::pack_rows(dout, stride, block.count, d_, queries_.dout_rows.data());
    for (std::int64_t i = 0; i < kTileQueries; ++i) {
      const bool real = i < block.count;
      queries_.dot[i] = real ? lanes::dot(dout + i * stride, out + i * stride, d_) : 0;
      queries_.log_sum[i] = real ? at_.log_sums[head * at_.tokens + block.token + i] : 0;
    }
  }

  // A block of queries with a block of keys. All matrices of scores are [keys, queries].
  void add_tile(const QueryBlock& block, std::int64_t b, std::int64_t kv_head, bool first) {
    const KeyBlock& keys = plan_.keys[b];
    const std::int64_t n = keys.count, m = padded(block.count), stride = at_.k_stride;
    const std::int64_t from = keys.token * stride + kv_head * d_;
    blocks::multiply({n, m, d_}, at_.k + from, stride, queries_.q_columns.data(), kTileQueries,
                     scores_, kTileQueries, false);
    blocks::multiply({n, m, d_}, at_.v + from, stride, queries_.dout_columns.data(), kTileQueries,
                     dprobabilities_, kTileQueries, false);
    for (std::int64_t j = 0; j < padded(n); j += 2) differentiate(block, keys, j, m);
    blocks::multiply({n, d_, m}, probabilities_, kTileQueries, queries_.dout_rows.data(), d_,
                     at_.dv + from, stride, true);
    blocks::multiply({n, d_, m}, dscores_, kTileQueries, queries_.q_rows.data(), d_, at_.dk + from,
                     stride, true);
    std::vector<T>& keys_t = keys_t_[static_cast<std::size_t>(b)];
    if (keys_t.empty()) {
      keys_t.resize(static_cast<std::size_t>(kKeys * d_));
      transpose(at_.k + from, stride, n, d_, keys_t.data());
    }
    blocks::multiply({d_, m, padded(n)}, keys_t.data(), kKeys,
                     blocks::kPaired<T> ? dscores_packed_ : dscores_, kTileQueries, dq_t_.data(),
                     kTileQueries, !first);
  }

  struct Derived {
    lanes::Floats probability, dscore;
  };

  // Probabilities and gradients of scores of keys j and j + 1.
  void differentiate(const QueryBlock& block, const KeyBlock& keys, std::int64_t j,
                     std::int64_t m) {
    const blocks::Seen seen[2] = {seeing(block, keys, j), seeing(block, keys, j + 1)};
    for (std::int64_t i = 0; i < m; i += lanes::kWidth) {
      for (std::int64_t row = 0; row < 2; ++row) {
        const std::int64_t at = (j + row) * kTileQueries + i;
        const Derived each = derived(at, i, seen[row]);
        lanes::store(probabilities_ + at, each.probability);
        lanes::store(dscores_ + at, each.dscore);
      }
      if constexpr (blocks::kPaired<T>)
        interleave(dscores_ + j * kTileQueries + i, dscores_packed_ + j * kTileQueries + 2 * i);
    }
  }

  // The queries that see key j of a block: none where j only pads it.
  blocks::Seen seeing(const QueryBlock& block, const KeyBlock& keys, std::int64_t j) const {
    if (j >= keys.count) return {0, 0};
    return seeing_queries(block, keys.position + j, shape_.window);
  }

  Derived derived(std::int64_t at, std::int64_t i, const blocks::Seen& seen) const {
    const float scale = 1.0f / std::sqrt(static_cast<float>(d_));
    lanes::Floats p = {};
    if (i >= seen.end || i + lanes::kWidth <= seen.begin) return {p, p};
    p = lanes::exp(scale * lanes::load(scores_ + at) - lanes::load(queries_.log_sum + i));
    if (i < seen.begin || i + lanes::kWidth > seen.end)
      for (std::int64_t lane = 0; lane < lanes::kWidth; ++lane)
        if (i + lane < seen.begin || i + lane >= seen.end) p[lane] = 0;
    return {p, scale * p * (lanes::load(dprobabilities_ + at) - lanes::load(queries_.dot + i))};
  }

  const Pointers<T>& at_;
  const BlockPlan& plan_;
  const AttentionShape& shape_;
  std::int64_t d_;
  PackedQueries<T> queries_;
  std::vector<std::vector<T>> keys_t_;  // [key blocks][head_dim][kKeys]; empty: not made yet
  std::vector<float> dq_t_;             // [head_dim][kTileQueries]
  float scores_[kKeys * kTileQueries], dprobabilities_[kKeys * kTileQueries];
  T probabilities_[kKeys * kTileQueries], dscores_[kKeys * kTileQueries];
  T dscores_packed_[kKeys * kTileQueries];  // the right side of a product that sums over the keys
};

// For each row the first of those that it hangs together with.
std::vector<std::int64_t> trees_of(const PackedRows& rows) {
  std::vector<std::int64_t> trees;
  for (std::int64_t r = 0; r < rows.rows(); ++r)
    trees.push_back(rows.parent.empty() || rows.parent[r] < 0 ? r : trees[rows.parent[r]]);
  return trees;
}

template <class T>
void differentiate_all(const Pointers<T>& at, const PackedRows& rows, const AttentionShape& shape) {
  const BlockPlan plan(rows, kTileQueries);
  const std::vector<std::int64_t> tree_of = trees_of(rows);
  std::vector<std::int64_t> trees = tree_of;
  std::ranges::sort(trees);
  trees.erase(std::ranges::unique(trees).begin(), trees.end());
  const auto count = static_cast<std::int64_t>(trees.size());
  // Heads outermost: every thread gets rows of all lengths.
  at::parallel_for(0, shape.kv_heads * count, 1, [&](std::int64_t begin, std::int64_t end) {
    TreeWork<T> work(at, plan, shape);
    for (std::int64_t job = begin; job < end; ++job)
      work.run(trees[job % count], tree_of, job / count);
    blocks::release<T>();
  });
}

}  // namespace

AttentionGradients block_attention_backward(const at::Tensor& dout, const AttentionValues& values,
                                            const PackedRows& rows, const AttentionShape& shape) {
  const auto& [q, k, v, out, log_sums] = values;
  AttentionGradients d{at::empty_like(q), at::zeros(k.sizes(), k.options().dtype(at::kFloat)),
                       at::zeros(v.sizes(), v.options().dtype(at::kFloat))};
  const auto run = [&]<class T>() {
    const Pointers<T> at{q.const_data_ptr<T>(),
                         k.const_data_ptr<T>(),
                         v.const_data_ptr<T>(),
                         out.const_data_ptr<T>(),
                         dout.const_data_ptr<T>(),
                         log_sums.const_data_ptr<float>(),
                         d.q.mutable_data_ptr<T>(),
                         d.k.mutable_data_ptr<float>(),
                         d.v.mutable_data_ptr<float>(),
                         q.size(0),
                         q.size(1),
                         k.size(1)};
    differentiate_all<T>(at, rows, shape);
  };
  if (q.scalar_type() == at::kFloat)
    run.template operator()<float>();
  else
    run.template operator()<at::BFloat16>();
  return {d.q, d.k.to(k.scalar_type()), d.v.to(v.scalar_type())};
}

}  // namespace reflect
