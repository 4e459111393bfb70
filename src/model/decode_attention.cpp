#include "decode_attention.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "lanes.h"

namespace reflect {

namespace {

// Turns scores into probabilities, in place.
void softmax(std::vector<float>& scores) {
  const auto n = static_cast<std::int64_t>(scores.size());
  float* p = scores.data();
  const float top = *std::max_element(scores.begin(), scores.end());
  lanes::for_each(n, [&](std::int64_t i, std::int64_t count) {
    lanes::store(p + i, lanes::exp(lanes::load(p + i, count) - top), count);
  });
  const float sum =
      lanes::sum(n, [&](std::int64_t i, std::int64_t count) { return lanes::load(p + i, count); });
  for (float& score : scores) score /= sum;
}

// One query head over the keys and values [begin, length) of its key head, `stride` elements apart.
template <class T>
struct HeadView {
  const T* keys;
  const T* values;
  std::int64_t stride, begin, length, head_dim;

  void attend(const T* query, T* out) const {
    std::vector<float> q(query, query + head_dim), sum(head_dim, 0.0f);
    std::vector<float> scores(length - begin);
    const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
    for (std::int64_t j = begin; j < length; ++j)
      scores[j - begin] = scale * lanes::dot(q.data(), keys + j * stride, head_dim);
    softmax(scores);
    for (std::int64_t j = begin; j < length; ++j) {
      const T* value = values + j * stride;
      const float p = scores[j - begin];
      lanes::for_each(head_dim, [&](std::int64_t i, std::int64_t count) {
        const lanes::Floats before = lanes::load(&sum[i], count);
        lanes::store(&sum[i], before + p * lanes::load(value + i, count), count);
      });
    }
    for (std::int64_t i = 0; i < head_dim; ++i) out[i] = static_cast<T>(sum[i]);
  }
};

// Queries, cache and results as plain memory.
template <class T>
struct Decoding {
  const DecodeRows& rows;
  const AttentionShape& shape;
  const T* q;
  T *keys, *values, *out;
  std::int64_t slot_stride;

  std::int64_t token_stride() const { return shape.kv_heads * shape.head_dim; }

  void extend_cache(const T* new_keys, const T* new_values) const {
    const std::int64_t width = token_stride();
    for (const DecodeRow& row : rows) {
      const std::int64_t at = row.slot * slot_stride + (row.length - 1) * width;
      std::copy_n(new_keys + row.token * width, width, keys + at);
      std::copy_n(new_values + row.token * width, width, values + at);
    }
  }

  void attend(std::int64_t job) const {
    const DecodeRow& row = rows[job / shape.heads];
    const std::int64_t head = job % shape.heads, group = shape.heads / shape.kv_heads;
    const std::int64_t start = row.slot * slot_stride + head / group * shape.head_dim;
    const std::int64_t begin =
        shape.window ? std::max<std::int64_t>(0, row.length - *shape.window) : 0;
    const HeadView<T> view{keys + start, values + start, token_stride(),
                           begin,        row.length,     shape.head_dim};
    const std::int64_t at = (row.token * shape.heads + head) * shape.head_dim;
    view.attend(q + at, out + at);
  }
};

template <class T>
void decode(const DecodeInput& input, KvSlots& cache, const DecodeRows& rows,
            const AttentionShape& shape, at::Tensor& out) {
  const Decoding<T> decoding{rows,
                             shape,
                             input.q.const_data_ptr<T>(),
                             cache.keys.mutable_data_ptr<T>(),
                             cache.values.mutable_data_ptr<T>(),
                             out.mutable_data_ptr<T>(),
                             cache.keys.stride(0)};
  decoding.extend_cache(input.k.const_data_ptr<T>(), input.v.const_data_ptr<T>());
  const auto jobs = static_cast<std::int64_t>(rows.size()) * shape.heads;
  at::parallel_for(0, jobs, 4, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t job = first; job < last; ++job) decoding.attend(job);
  });
}

}  // namespace

void decode_attention(const DecodeInput& input, KvSlots cache, const DecodeRows& rows,
                      const AttentionShape& shape, at::Tensor& out) {
  if (input.q.scalar_type() == at::kFloat) {
    decode<float>(input, cache, rows, shape, out);
  } else {
    decode<at::BFloat16>(input, cache, rows, shape, out);
  }
}

}  // namespace reflect
