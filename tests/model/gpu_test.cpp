// The same inputs on a GPU and on the CPU. Where there is no GPU, or the build is without CUDA,
// these tests say so and check nothing.
#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>

#include <catch2/catch.hpp>
#include <functional>
#include <vector>

#include "close.h"
#include "model/attention.h"
#include "model/dense.h"
#include "model/elementwise.h"
#include "model/fp8.h"
#include "model/nf4.h"
#include "reflect/model/cross_entropy.h"

using namespace reflect;

namespace {

bool has_gpu() {
  const bool has = at::globalContext().hasCUDA();
  if (!has) WARN("no GPU here: nothing is checked");
  return has;
}

using Inputs = std::vector<at::Tensor>;

// Result and gradients of `step` on a GPU against those on the CPU.
void compare(const Inputs& inputs, const std::function<at::Tensor(const Inputs&)>& step,
             double bound) {
  Inputs here, there;
  for (const at::Tensor& x : inputs) {
    here.push_back(x.clone().requires_grad_(true));
    there.push_back(x.to(at::kCUDA).requires_grad_(true));
  }
  const at::Tensor expected = step(here), own = step(there);
  check_close(own.detach(), expected.detach(), bound);
  const at::Tensor dy = at::randn(expected.sizes()).to(expected.scalar_type());
  expected.backward(dy);
  own.backward(dy.to(at::kCUDA));
  for (std::size_t i = 0; i < inputs.size(); ++i)
    check_close(there[i].grad(), here[i].grad(), bound);
}

}  // namespace

TEST_CASE("on a GPU: elementwise steps and their gradients") {
  if (!has_gpu()) return;
  at::manual_seed(1);
  const auto type = GENERATE(at::kFloat, at::kBFloat16);
  const std::int64_t width = GENERATE(4096, 76);  // 76: packs of bf16 do not divide it
  const double bound = type == at::kFloat ? 1e-5 : 1.0 / 64;
  const auto numbers = [&](at::IntArrayRef sizes) { return at::randn(sizes).to(type); };
  compare(
      {numbers({33, width}), numbers({width})},
      [](const Inputs& in) { return rms_norm(in[0], in[1], 1e-5); }, bound * 8);
  compare(
      {numbers({33, width}), numbers({33, width}), numbers({width})},
      [](const Inputs& in) {
        const SumAndNorm both = add_rms_norm(in[0], in[1], in[2], 1e-5);
        return at::cat({both.sum, both.norm});
      },
      bound * 8);
  compare(
      {numbers({33, width}), numbers({33, width})},
      [](const Inputs& in) { return swiglu(in[0], in[1]); }, bound);
  const at::Tensor angles = at::randn({33, width / 4});  // two heads
  compare(
      {numbers({33, width})},
      [&](const Inputs& in) {
        const at::Device device = in[0].device();
        return apply_rope(in[0], {angles.cos().to(device), angles.sin().to(device)});
      },
      bound);
}

TEST_CASE("on a GPU: a projection with an adapter and its gradients") {
  if (!has_gpu()) return;
  at::manual_seed(5);
  const auto type = GENERATE(at::kFloat, at::kBFloat16);
  const double bound = type == at::kFloat ? 1e-4 : 1.0 / 16;
  const at::Tensor weight = (at::randn({96, 64}) / 8).to(type), drop = at::randn({40, 64});
  const bool dropout = GENERATE(false, true);
  const auto tuned = [&](const Inputs& in) {
    const at::Device device = in[0].device();
    const LoraPair pair{in[1], in[2]};
    LoraBranch branch{pair, 2.0, {}};
    if (dropout) branch.dropped = in[0] * drop.gt(0).to(device);
    return dense_with_lora(in[0], weight.to(device), branch);
  };
  const Inputs inputs = {at::randn({40, 64}).to(type), at::randn({8, 64}) / 8,
                         at::randn({96, 8}) / 8};
  compare(inputs, tuned, bound);
  const at::NoGradGuard no_grad;
  const Inputs there = {inputs[0].to(at::kCUDA), inputs[1].to(at::kCUDA), inputs[2].to(at::kCUDA)};
  check_close(tuned(there), tuned(inputs), bound);
}

TEST_CASE("on a GPU: cross-entropy and its gradient") {
  if (!has_gpu()) return;
  at::manual_seed(2);
  const auto type = GENERATE(at::kFloat, at::kBFloat16);
  at::Tensor here = (at::randn({7, 128256}) * 3).to(type), there = here.to(at::kCUDA);
  const at::Tensor targets = at::randint(128256, {7}, at::kLong), weights = at::randn({7}).abs();
  const at::Tensor expected = target_nll_and_gradient_(here, targets, weights);
  const at::Tensor own =
      target_nll_and_gradient_(there, targets.to(at::kCUDA), weights.to(at::kCUDA));
  check_close(own, expected, 1e-5);
  check_close(there, here, 1e-4);
}

TEST_CASE("on a GPU: NF4 and FP8 give the same bits") {
  if (!has_gpu()) return;
  at::manual_seed(3);
  const auto type = GENERATE(at::kFloat, at::kBFloat16);
  const at::Tensor weights = at::randn({129, 514}) * 0.02;
  at::Tensor here = at::empty(weights.sizes(), type);
  at::Tensor there = at::empty(weights.sizes(), here.options().device(at::kCUDA));
  const auto check_nf4 = [&](nf4::Quantized q, const at::Tensor& out) {
    nf4::dequantize(q, out);
    for (at::Tensor* piece : {&q.codes, &q.absmax, &q.absmax_scale}) *piece = piece->to(at::kCUDA);
    const at::Tensor own = at::empty(out.sizes(), out.options().device(at::kCUDA));
    nf4::dequantize(q, own);
    CHECK(at::equal(own.cpu(), out));
  };
  check_nf4(nf4::quantize(weights), here);
  const nf4::Quantized whole = nf4::quantize(at::randn({68, 512}) * 0.02);
  check_nf4(nf4::columns(whole, 68, 1, 2), at::empty({68, 256}, type));
  check_nf4(nf4::columns(whole, 1, 1, 2), at::empty({34, 512}, type));
  fp8::Quantized f = fp8::quantize(weights);
  fp8::dequantize(f, here);
  fp8::dequantize({f.codes.to(at::kCUDA), f.scale.to(at::kCUDA)}, there);
  CHECK(at::equal(there.cpu(), here));
}

TEST_CASE("on a GPU: attention of packed rows, with grouped heads and a window") {
  if (!has_gpu()) return;
  at::manual_seed(4);
  AttentionShape shape{4, 2, 64, {}};
  if (GENERATE(false, true)) shape.window = 9;
  const PackedRows rows{{0, 5, 40, 41}, {}, {}};
  const auto numbers = [](std::int64_t heads) {
    return at::randn({41, heads * 64}).to(at::kBFloat16);
  };
  compare(
      {numbers(4), numbers(2), numbers(2)},
      [&](const Inputs& in) {
        return attention(in[0], in[1], in[2], rows, shape, offsets_on(in[0].device(), rows));
      },
      1.0 / 16);
}
