// The arithmetic of the GPU kernels, run on this processor: by one thread, and by several that
// share a row as a thread block does.
#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <barrier>
#include <catch2/catch.hpp>
#include <cmath>
#include <thread>
#include <vector>

#include "close.h"
#include "model/elementwise.h"
#include "model/fp8.h"
#include "model/gpu_bodies.h"
#include "model/nf4.h"
#include "reflect/model/cross_entropy.h"

using namespace reflect;
using Catch::Approx;

namespace {

constexpr int kCrew = 3;

struct Meeting {
  std::barrier<> barrier{kCrew};
  std::vector<float> values = std::vector<float>(kCrew);
};

// One of kCrew threads.
struct Member {
  Meeting& meeting;
  std::int64_t number;

  std::int64_t index() const { return number; }
  std::int64_t size() const { return kCrew; }
  template <class Combine>
  float combined(float mine, const Combine& combine) const {
    meeting.values[static_cast<std::size_t>(number)] = mine;
    meeting.barrier.arrive_and_wait();
    float all = meeting.values[0];
    for (std::size_t i = 1; i < kCrew; ++i) all = combine(all, meeting.values[i]);
    meeting.barrier.arrive_and_wait();
    return all;
  }
  float sum(float mine) const {
    return combined(mine, [](float a, float b) { return a + b; });
  }
  float largest(float mine) const {
    return combined(mine, [](float a, float b) { return std::max(a, b); });
  }
};

// Calls work(team) for a team of one, or of kCrew threads.
template <class Work>
void by_team(bool alone, const Work& work) {
  if (alone) return work(gpu::Alone());
  Meeting meeting;
  std::vector<std::jthread> threads;
  for (std::int64_t number = 0; number < kCrew; ++number)
    threads.emplace_back([&, number] { work(Member{meeting, number}); });
}

// A matrix of rows that a pack of eight divides, rounded to T; results are compared in fp32.
template <class T>
at::Tensor numbers(std::int64_t rows, std::int64_t columns) {
  return at::randn({rows, columns}).to(c10::CppTypeToScalarType<T>::value);
}

template <class T>
T* row_of(at::Tensor& x, std::int64_t row) {
  return x.data_ptr<T>() + row * x.size(1);
}

}  // namespace

TEMPLATE_TEST_CASE("GPU arithmetic: RMSNorm and its gradient", "", float, c10::BFloat16) {
  at::manual_seed(1);
  const bool alone = GENERATE(true, false);
  at::Tensor x = numbers<TestType>(3, 72), dy = numbers<TestType>(3, 72);
  at::Tensor weight = numbers<TestType>(1, 72);
  at::Tensor y = at::empty_like(x), dx = at::empty_like(x), rstd = at::empty({3});
  for (std::int64_t row = 0; row < 3; ++row) {
    const auto at = [&](at::Tensor& t) { return row_of<TestType>(t, row); };
    float* r = rstd.data_ptr<float>() + row;
    by_team(alone, [&](const auto& team) {
      gpu::rms_norm_row<8>(team, at(x), weight.data_ptr<TestType>(), at(y), 72, 1e-5f, r);
    });
    by_team(alone, [&](const auto& team) {
      const TestType* none = nullptr;
      gpu::rms_norm_row_backward<1>(team, at(dy), none, at(x), weight.data_ptr<TestType>(), at(dx),
                                    72, *r);
    });
  }
  const at::Tensor leaf = x.clone().requires_grad_(true);
  const at::Tensor expected = rms_norm(leaf, weight.squeeze(0), 1e-5);
  expected.backward(dy);
  check_close(y, expected.detach());
  check_close(dx, leaf.grad());
}

TEMPLATE_TEST_CASE("GPU arithmetic: RMSNorm of a sum and its gradient", "", float, c10::BFloat16) {
  at::manual_seed(6);
  const bool alone = GENERATE(true, false);
  at::Tensor x = numbers<TestType>(3, 72), residual = numbers<TestType>(3, 72);
  at::Tensor dy = numbers<TestType>(3, 72), dsum = numbers<TestType>(3, 72);
  at::Tensor weight = numbers<TestType>(1, 72), sum = x.clone();  // in place
  at::Tensor y = at::empty_like(x), dx = at::empty_like(x), rstd = at::empty({3});
  for (std::int64_t row = 0; row < 3; ++row) {
    const auto at = [&](at::Tensor& t) { return row_of<TestType>(t, row); };
    float* r = rstd.data_ptr<float>() + row;
    by_team(alone, [&](const auto& team) {
      gpu::add_rms_norm_row<8>(team, at(sum), at(residual), at(sum), weight.data_ptr<TestType>(),
                               at(y), 72, 1e-5f, r);
    });
    by_team(alone, [&](const auto& team) {
      gpu::rms_norm_row_backward<4>(team, at(dy), at(dsum), at(sum), weight.data_ptr<TestType>(),
                                    at(dx), 72, *r);
    });
  }
  const at::Tensor leaf = x.clone().requires_grad_(true);
  const SumAndNorm expected = add_rms_norm(leaf, residual, weight.squeeze(0), 1e-5);
  CHECK(at::equal(sum, expected.sum));
  check_close(y, expected.norm.detach());
  (expected.sum * dsum + expected.norm * dy).sum().backward();
  check_close(dx, leaf.grad());
}

TEMPLATE_TEST_CASE("GPU arithmetic: SwiGLU and its gradient", "", float, c10::BFloat16) {
  at::manual_seed(2);
  at::Tensor gate = numbers<TestType>(1, 64), up = numbers<TestType>(1, 64);
  at::Tensor dy = numbers<TestType>(1, 64), y = at::empty_like(gate);
  at::Tensor dgate = at::empty_like(gate), dup = at::empty_like(gate);
  const auto at = [](at::Tensor& t, std::int64_t i) { return t.data_ptr<TestType>() + i; };
  for (std::int64_t i = 0; i < 64; i += 8) gpu::swiglu<8>(at(gate, i), at(up, i), at(y, i));
  for (std::int64_t i = 0; i < 64; ++i)
    gpu::swiglu_backward<1>(at(dy, i), at(gate, i), at(up, i), at(dgate, i), at(dup, i));
  const at::Tensor g = gate.clone().requires_grad_(true), u = up.clone().requires_grad_(true);
  const at::Tensor expected = swiglu(g, u);
  expected.backward(dy);
  check_close(y, expected.detach());
  check_close(dgate, g.grad());
  check_close(dup, u.grad());
}

TEMPLATE_TEST_CASE("GPU arithmetic: rotary embedding there and back", "", float, c10::BFloat16) {
  at::manual_seed(3);
  const std::int64_t half = 16, width = 4 * half;  // two heads
  at::Tensor x = numbers<TestType>(1, width), y = at::empty_like(x), back = at::empty_like(x);
  const at::Tensor angles = at::randn({1, half}), cos = angles.cos(), sin = angles.sin();
  const auto turn = [&](at::Tensor& from, at::Tensor& to, float direction) {
    for (std::int64_t head = 0; head < width; head += 2 * half)
      for (std::int64_t i = 0; i < half; i += 8) {
        const TestType* a = from.data_ptr<TestType>() + head + i;
        TestType* ya = to.data_ptr<TestType>() + head + i;
        gpu::rotate<8>(a, a + half, cos.data_ptr<float>() + i, sin.data_ptr<float>() + i, direction,
                       ya, ya + half);
      }
  };
  turn(x, y, 1.0f);
  check_close(y, apply_rope(x, {cos, sin}));
  turn(y, back, -1.0f);
  check_close(back, x);
}

TEMPLATE_TEST_CASE("GPU arithmetic: cross-entropy and its gradient", "", float, c10::BFloat16) {
  at::manual_seed(4);
  const bool alone = GENERATE(true, false);
  const std::int64_t rows = 3, vocab = 200;
  at::Tensor logits = numbers<TestType>(rows, vocab) * 4;
  const at::Tensor targets = at::tensor({0, 199, 77}, at::kLong);
  const at::Tensor weights = at::tensor({1.0f, 0.25f, 2.0f});
  at::Tensor own = logits.clone(), nll = at::empty({rows}), untouched = logits.clone();
  for (std::int64_t row = 0; row < rows; ++row)
    by_team(alone, [&](const auto& team) {
      float* out = nll.data_ptr<float>() + row;
      gpu::nll_row<8>(team, row_of<TestType>(untouched, row), vocab,
                      targets[row].item<std::int64_t>(), nullptr, out);
      gpu::nll_row<4>(team, row_of<TestType>(own, row), vocab, targets[row].item<std::int64_t>(),
                      weights.data_ptr<float>() + row, out);
    });
  CHECK(at::equal(untouched, logits));
  const at::Tensor expected = target_nll_and_gradient_(logits, targets, weights);
  check_close(nll, expected);
  check_close(own, logits);
}

TEST_CASE("GPU arithmetic: a row that is not finite gives NaN") {
  const float bad = GENERATE(NAN, INFINITY, -INFINITY);
  at::Tensor logits = at::zeros({1, 8});
  logits[0][5] = bad;
  float nll = 0;
  gpu::nll_row<4>(gpu::Alone(), logits.data_ptr<float>(), 8, 2, nullptr, &nll);
  CHECK(std::isnan(nll));
}

TEMPLATE_TEST_CASE("GPU arithmetic: NF4 and FP8 give the same bits as the loops", "", float,
                   c10::BFloat16) {
  at::manual_seed(5);
  const at::Tensor weights = at::randn({68, 512}) * 0.02;  // more than one block of absmax
  const auto dtype = c10::CppTypeToScalarType<TestType>::value;
  at::Tensor expected = at::empty(weights.sizes(), dtype), own = at::empty_like(expected);

  const auto nf4_values = [&](const nf4::Quantized& q, const at::Tensor& out) {
    const gpu::Nf4Scales scales{q.absmax.const_data_ptr<std::uint8_t>(),
                                q.absmax_scale.const_data_ptr<float>(),
                                q.blocks,
                                q.absmax_mean,
                                nf4::kValues.data(),
                                nf4::absmax_values().data()};
    for (std::int64_t byte = 0; byte < q.codes.numel(); byte += 4)
      gpu::nf4_weights<4>(q.codes.const_data_ptr<std::uint8_t>(), byte, scales,
                          out.data_ptr<TestType>());
  };
  const nf4::Quantized q = nf4::quantize(weights);
  nf4::dequantize(q, expected);
  nf4_values(q, own);
  CHECK(at::equal(own, expected));
  at::Tensor half = at::empty({68, 256}, dtype);  // its columns: blocks 4 to 7 of each 8
  nf4_values(nf4::columns(q, 68, 1, 2), half);
  CHECK(at::equal(half, expected.narrow(1, 256, 256)));
  half = at::empty({34, 512}, dtype);  // its rows, from within a group of absmax
  nf4_values(nf4::columns(q, 1, 1, 2), half);
  CHECK(at::equal(half, expected.narrow(0, 34, 34)));

  const fp8::Quantized f = fp8::quantize(weights);
  fp8::dequantize(f, expected);
  const auto* codes = f.codes.const_data_ptr<c10::Float8_e4m3fn>();
  for (std::int64_t i = 0; i < weights.numel(); i += 8)
    gpu::fp8_weights<8>(codes + i, f.scale.const_data_ptr<float>()[i / 512],
                        own.data_ptr<TestType>() + i);
  CHECK(at::equal(own, expected));
}
