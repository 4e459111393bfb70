// Attention of packed rows against its definition, row by row.
#include "model/attention.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/masked_fill.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

namespace reflect {
namespace {

// The tokens that row r's text consists of, those that it continues before its own.
std::vector<std::int64_t> tokens_of(const PackedRows& rows, std::int64_t r) {
  std::vector<std::int64_t> tokens;
  if (!rows.parent.empty() && rows.parent[r] >= 0) tokens = tokens_of(rows, rows.parent[r]);
  for (std::int64_t t = rows.offsets[r]; t < rows.offsets[r + 1]; ++t) tokens.push_back(t);
  return tokens;
}

// [n, m]: true where query i, the (m - n + i)th token of a text of m, does not see key j.
at::Tensor hidden_keys(std::int64_t n, std::int64_t m, const std::optional<std::int64_t>& window) {
  at::Tensor hidden = at::ones({n, m}, at::kBool);
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t end = m - n + i + 1;
    const std::int64_t first = window ? std::max<std::int64_t>(0, end - *window) : 0;
    hidden[i].slice(0, first, end).fill_(false);
  }
  return hidden;
}

// In fp32, one row and one head at a time.
at::Tensor naive(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                 const PackedRows& rows, const AttentionShape& shape) {
  const std::int64_t d = shape.head_dim, group = shape.heads / shape.kv_heads;
  std::vector<at::Tensor> parts;
  for (std::int64_t r = 0; r < rows.rows(); ++r) {
    const at::Tensor text = at::tensor(tokens_of(rows, r)), own = text.slice(0, -rows.length(r));
    const at::Tensor hidden = hidden_keys(own.numel(), text.numel(), shape.window);
    const auto part = [&](const at::Tensor& x, const at::Tensor& tokens, std::int64_t head) {
      return x.index_select(0, tokens).narrow(1, head * d, d).to(at::kFloat);
    };
    std::vector<at::Tensor> heads;
    for (std::int64_t head = 0; head < shape.heads; ++head) {
      const at::Tensor keys = part(k, text, head / group), values = part(v, text, head / group);
      const at::Tensor scores = at::matmul(part(q, own, head), keys.t()) / std::sqrt(d);
      const at::Tensor p = at::softmax(scores.masked_fill(hidden, -INFINITY), 1);
      heads.push_back(at::matmul(p, values));
    }
    parts.push_back(at::cat(heads, 1));
  }
  return at::cat(parts);
}

struct Inputs {
  at::Tensor q, k, v;
};

Inputs random_inputs(std::int64_t tokens, const AttentionShape& shape, at::ScalarType dtype) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(3);
  const auto random = [&](std::int64_t heads) {
    return at::randn({tokens, heads * shape.head_dim}, generator, at::kFloat).to(dtype);
  };
  return {random(shape.heads), random(shape.kv_heads), random(shape.kv_heads)};
}

at::Tensor ours(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                const PackedRows& rows, const AttentionShape& shape) {
  return attention(q, k, v, rows, shape);
}

using Attention = at::Tensor(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                             const PackedRows& rows, const AttentionShape& shape);

// Of the sum of the result times numbers that depend on q alone.
Inputs gradients(Attention& attend, const Inputs& of, const PackedRows& rows,
                 const AttentionShape& shape) {
  const auto leaf = [](const at::Tensor& x) { return x.clone().set_requires_grad(true); };
  const Inputs x{leaf(of.q), leaf(of.k), leaf(of.v)};
  const at::Tensor out = attend(x.q, x.k, x.v, rows, shape);
  const at::Tensor weights = of.q.to(at::kFloat).cos();
  (out.to(at::kFloat) * weights).sum().backward();
  return {x.q.grad(), x.k.grad(), x.v.grad()};
}

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kFloat) - b.to(at::kFloat)).abs().max().item<double>();
}

double largest_difference(const Inputs& a, const Inputs& b) {
  return std::max(
      {largest_difference(a.q, b.q), largest_difference(a.k, b.k), largest_difference(a.v, b.v)});
}

const std::vector<PackedRows> kLayouts = {
    {{0, 1}, {}, {}},
    {{0, 70}, {}, {}},
    {{0, 20, 21, 90}, {}, {}},
    // A tree: a beginning of 40 with two branches, one of which branches again, and a row apart.
    {{0, 40, 41, 80, 83, 150, 160}, {}, {}, {-1, 0, 0, 2, 2, -1}},
};

// Calls check(shape, rows) for every layout with windows of some sizes and two shapes of heads.
template <class Check>
void for_each_case(const Check& check) {
  for (const std::optional<std::int64_t> window : {std::optional<std::int64_t>(), {7}, {45}})
    for (const AttentionShape shape : {AttentionShape{4, 2, 16, window}, {3, 1, 64, window}})
      for (const PackedRows& rows : kLayouts) {
        INFO(rows.tokens() << " tokens, window " << window.value_or(0) << ", head_dim "
                           << shape.head_dim);
        check(shape, rows);
      }
}

void check_result(const AttentionShape& shape, const PackedRows& rows) {
  const Inputs x = random_inputs(rows.tokens(), shape, at::kFloat);
  CHECK(largest_difference(attention(x.q, x.k, x.v, rows, shape),
                           naive(x.q, x.k, x.v, rows, shape)) < 1e-5);
}

void check_gradients(const AttentionShape& shape, const PackedRows& rows) {
  const Inputs x = random_inputs(rows.tokens(), shape, at::kFloat);
  const Inputs expected = gradients(naive, x, rows, shape);
  CHECK(largest_difference(gradients(ours, x, rows, shape), expected) < 2e-5);
  const Inputs rounded = random_inputs(rows.tokens(), shape, at::kBFloat16);
  CHECK(largest_difference(gradients(ours, rounded, rows, shape), expected) < 0.1);
}

}  // namespace

TEST_CASE("attention over rows and trees of rows is its definition") {
  for_each_case(check_result);
}

TEST_CASE("gradients of attention are those of its definition") {
  for_each_case(check_gradients);
}

TEST_CASE("attention of heads of any size, and its gradients") {
  for (const std::int64_t head_dim : {2, 10, 15, 80})  // 15: without blocks
    for (const PackedRows& rows : {kLayouts[2], kLayouts[3]}) {
      INFO(rows.tokens() << " tokens, head_dim " << head_dim);
      check_result({4, 2, head_dim, 45}, rows);
      check_gradients({4, 2, head_dim, 45}, rows);
    }
}

TEST_CASE("gradients of attention do not depend on threads or on the other rows of a pack") {
  const AttentionShape shape{4, 2, 32, std::nullopt};
  const PackedRows rows{{0, 70, 200, 331}, {}, {}}, alone{{0, 130}, {}, {}};
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const Inputs x = random_inputs(rows.tokens(), shape, dtype);
    const Inputs all = gradients(ours, x, rows, shape);
    const int threads = at::get_num_threads();
    for (const int other : {1, 3}) {
      at::set_num_threads(other);
      const Inputs result = gradients(ours, x, rows, shape);
      at::set_num_threads(threads);
      CHECK(largest_difference(result, all) == 0);
    }
    const auto second = [](const Inputs& of) {
      return Inputs{of.q.narrow(0, 70, 130), of.k.narrow(0, 70, 130), of.v.narrow(0, 70, 130)};
    };
    CHECK(largest_difference(second(all), gradients(ours, second(x), alone, shape)) == 0);
  }
}

TEST_CASE("attention in bf16 is close to its definition") {
  const c10::InferenceMode no_gradients;
  const AttentionShape shape{4, 2, 16, std::nullopt};
  for (const PackedRows& rows : kLayouts) {
    const Inputs x = random_inputs(rows.tokens(), shape, at::kBFloat16);
    const at::Tensor result = attention(x.q, x.k, x.v, rows, shape);
    CHECK(result.scalar_type() == at::kBFloat16);
    CHECK(largest_difference(result, naive(x.q, x.k, x.v, rows, shape)) < 0.03);
  }
}

}  // namespace reflect
