#include "block_attention.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <utility>

#include "attention_blocks.h"
#include "block_attention_backward.h"

namespace reflect {

namespace {

using blocks::BlockPlan, blocks::KeyBlock, blocks::kKeys, blocks::QueryBlock, blocks::Seen;

constexpr std::int64_t kQueries = 32;  // of a block

// Keys and values of one layer as the product kernel reads them: per key block and key head, keys
// as [head_dim][kKeys] and values as [kKeys][head_dim].
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
        blocks::pack_columns(kp + from, stride, block.count, d, place(0, i), kKeys);
        blocks::pack_rows(vp + from, stride, block.count, d, place(1, i));
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
  T* place(std::int64_t which, std::int64_t index) const {
    return storage_.data_ptr<T>() + (which * storage_.size(1) + index) * size_;
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
  // `log_sums`: [count] of BlockAttention.
  void attend(const QueryBlock& block, std::int64_t kv_head, const PackedKeys<T>& packed,
              const T* q, std::int64_t stride, T* out, float* log_sums) {
    visible_.clear();
    for (const std::int64_t b : plan_.chain[block.row])
      if (is_visible(plan_.keys[b], block, shape_.window)) visible_.push_back(b);
    const std::size_t elements = visible_.size() * kQueries * kKeys;
    if (scores_.size() < elements) {
      scores_.resize(elements);
      probabilities_.resize(elements);
    }
    sums_.resize(kQueries * shape_.head_dim);
    const std::int64_t d = shape_.head_dim;
    const auto keys_of = [&](std::size_t b) {
      return blocks::padded(plan_.keys[visible_[b]].count);
    };
    for (std::size_t b = 0; b < visible_.size(); ++b)
      blocks::multiply({block.count, keys_of(b), d}, q, stride, packed.keys(visible_[b], kv_head),
                       kKeys, scores_.data() + b * kQueries * kKeys, kKeys, false);
    for (std::int64_t i = 0; i < block.count; ++i) log_sums[i] = softmax(i, block.position + i);
    for (std::size_t b = 0; b < visible_.size(); ++b)
      blocks::multiply({block.count, d, keys_of(b)}, probabilities_.data() + b * kQueries * kKeys,
                       kKeys, packed.values(visible_[b], kv_head), d, sums_.data(), d, b > 0);
    for (std::int64_t i = 0; i < block.count; ++i)
      lanes::for_each(d, [&](std::int64_t j, std::int64_t count) {
        const lanes::Floats sum = lanes::load(sums_.data() + i * d + j, count);
        lanes::store(out + i * stride + j, sum * scale_of_row_[i], count);
      });
  }

 private:
  // Row i's probabilities, not yet divided by their sum, which goes into scale_of_row_. Returns the
  // logarithm of the sum of the exponentials of its scaled scores.
  float softmax(std::int64_t i, std::int64_t position) {
    const float scale = 1.0f / std::sqrt(static_cast<float>(shape_.head_dim));
    float top = -INFINITY, sum = 0;
    for (std::size_t b = 0; b < visible_.size(); ++b) {
      const Seen s = seen_keys(plan_.keys[visible_[b]], position, shape_.window);
      top = std::max(top, lanes::largest(row_of(scores_, b, i) + s.begin, s.end - s.begin));
    }
    for (std::size_t b = 0; b < visible_.size(); ++b) {
      const KeyBlock& keys = plan_.keys[visible_[b]];
      const Seen s = seen_keys(keys, position, shape_.window);
      const float* score = row_of(scores_, b, i);
      T* p = row_of(probabilities_, b, i);
      std::fill(p, p + s.begin, T(0));
      sum += exponentials(score + s.begin, s.end - s.begin, scale, top, p + s.begin);
      std::fill(p + s.end, p + blocks::padded(keys.count), T(0));
    }
    scale_of_row_[i] = 1.0f / sum;
    return scale * top + std::log(sum);
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
                const BlockPlan& plan, const AttentionShape& shape, at::Tensor& out,
                at::Tensor& log_sums) {
  const PackedKeys<T> packed(k, v, plan, shape);
  const T* qp = q.const_data_ptr<T>();
  T* op = out.mutable_data_ptr<T>();
  float* lp = log_sums.mutable_data_ptr<float>();
  const auto blocks = static_cast<std::int64_t>(plan.queries.size());
  const std::int64_t d = shape.head_dim, stride = shape.heads * d;
  // Heads outermost: every thread gets rows of all lengths.
  at::parallel_for(0, shape.heads * blocks, 2, [&](std::int64_t begin, std::int64_t end) {
    QueryWork<T> work(shape, plan);
    for (std::int64_t job = begin; job < end; ++job) {
      const std::int64_t head = job / blocks;
      const QueryBlock& block = plan.queries[job % blocks];
      const std::int64_t at = block.token * stride + head * d;
      work.attend(block, head / (shape.heads / shape.kv_heads), packed, qp + at, stride, op + at,
                  lp + head * q.size(0) + block.token);
    }
    blocks::release<T>();
  });
}

struct Attended {
  at::Tensor out;       // as q
  at::Tensor log_sums;  // [heads, T] fp32: logarithms of the softmax's denominators
};

Attended attend_in_blocks(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                          const PackedRows& rows, const AttentionShape& shape) {
  Attended result{at::empty_like(q),
                  at::empty({shape.heads, q.size(0)}, q.options().dtype(at::kFloat))};
  const BlockPlan plan(rows, kQueries);
  if (q.scalar_type() == at::kFloat)
    attend_all<float>(q, k, v, plan, shape, result.out, result.log_sums);
  else
    attend_all<at::BFloat16>(q, k, v, plan, shape, result.out, result.log_sums);
  return result;
}

struct Layout : torch::CustomClassHolder {
  Layout(PackedRows of, AttentionShape by) : rows(std::move(of)), shape(by) {}
  PackedRows rows;
  AttentionShape shape;
};

struct BlockAttention : torch::autograd::Function<BlockAttention> {
  using Context = torch::autograd::AutogradContext;
  using Tensors = torch::autograd::variable_list;

  static at::Tensor forward(Context* ctx, const at::Tensor& q, const at::Tensor& k,
                            const at::Tensor& v, const PackedRows& rows,
                            const AttentionShape& shape) {
    Attended attended = attend_in_blocks(q, k, v, rows, shape);
    ctx->save_for_backward({q, k, v, attended.out, attended.log_sums});
    ctx->saved_data["layout"] = c10::IValue::make_capsule(c10::make_intrusive<Layout>(rows, shape));
    return attended.out;
  }

  static Tensors backward(Context* ctx, const Tensors& gradients) {
    const Tensors saved = ctx->get_saved_variables();
    const auto layout =
        c10::static_intrusive_pointer_cast<Layout>(ctx->saved_data["layout"].toCapsule());
    AttentionGradients d = block_attention_backward(
        gradients[0].contiguous(), {saved[0], saved[1], saved[2], saved[3], saved[4]}, layout->rows,
        layout->shape);
    return {d.q, d.k, d.v, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

bool has_block_attention(at::ScalarType dtype) {
  if (dtype == at::kFloat) return __builtin_cpu_supports("avx2");
  return dtype == at::kBFloat16 && __builtin_cpu_supports("avx512bf16");
}

bool can_use_block_attention(const at::Tensor& q, const AttentionShape& shape) {
  return q.is_cpu() && shape.head_dim % 2 == 0 && has_block_attention(q.scalar_type());
}

at::Tensor block_attention(const at::Tensor& q_in, const at::Tensor& k_in, const at::Tensor& v_in,
                           const PackedRows& rows, const AttentionShape& shape) {
  const at::Tensor q = q_in.contiguous(), k = k_in.contiguous(), v = v_in.contiguous();
  if (!at::GradMode::is_enabled()) return attend_in_blocks(q, k, v, rows, shape).out;
  return BlockAttention::apply(q, k, v, rows, shape);
}

}  // namespace reflect
