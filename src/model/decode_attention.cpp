#include "decode_attention.h"

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "vector_math.h"

namespace reflect {

namespace {

template <class T>
float dot(const float* a, const T* b, std::int64_t n) {
  float sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += a[i] * static_cast<float>(b[i]);
  return sum;
}

// Turns scores into probabilities, in place.
void softmax(std::vector<float>& scores) {
  const float top = *std::max_element(scores.begin(), scores.end());
  float sum = 0;
  for (float& s : scores) sum += s = vector_exp(s - top);
  for (float& s : scores) s /= sum;
}

// One query head over the keys and values [length] of its key head, `stride` elements apart.
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
      scores[j - begin] = scale * dot(q.data(), keys + j * stride, head_dim);
    softmax(scores);
    for (std::int64_t j = begin; j < length; ++j) {
      const T* value = values + j * stride;
      const float p = scores[j - begin];
      for (std::int64_t i = 0; i < head_dim; ++i) sum[i] += p * static_cast<float>(value[i]);
    }
    for (std::int64_t i = 0; i < head_dim; ++i) out[i] = static_cast<T>(sum[i]);
  }
};

}  // namespace

void decode_attention(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                      const DecodeRows& rows, const AttentionShape& shape, at::Tensor& out) {
  const std::int64_t heads = shape.heads, d = shape.head_dim, group = heads / shape.kv_heads;
  const std::int64_t stride = shape.kv_heads * d, slot_stride = keys.stride(0);
  const auto jobs = static_cast<std::int64_t>(rows.size()) * heads;
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, q.scalar_type(), "decode_attention", [&] {
    const scalar_t* qp = q.const_data_ptr<scalar_t>();
    const scalar_t* kp = keys.const_data_ptr<scalar_t>();
    const scalar_t* vp = values.const_data_ptr<scalar_t>();
    scalar_t* op = out.mutable_data_ptr<scalar_t>();
    at::parallel_for(0, jobs, 8, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t job = first; job < last; ++job) {
        const DecodeRow& row = rows[job / heads];
        const std::int64_t head = job % heads;
        const std::int64_t start = row.slot * slot_stride + head / group * d;
        const std::int64_t begin =
            shape.window ? std::max<std::int64_t>(0, row.length - *shape.window) : 0;
        const HeadView<scalar_t> view{kp + start, vp + start, stride, begin, row.length, d};
        const std::int64_t at = (row.token * heads + head) * d;
        view.attend(qp + at, op + at);
      }
    });
  });
}

}  // namespace reflect
