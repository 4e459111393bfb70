#include "model/elementwise.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>

#include <catch2/catch.hpp>
#include <vector>

namespace reflect {
namespace {

constexpr double kEps = 1e-5;

SumAndNorm two_steps(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& weight) {
  const at::Tensor sum = x + residual;
  return {sum, rms_norm(sum, weight, kEps)};
}

SumAndNorm one_step(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& weight) {
  return add_rms_norm(x, residual, weight, kEps);
}

// Results, then the gradients of x, residual and weight; both results are used.
template <class Step>
std::vector<at::Tensor> results_of(const Step& step, at::ScalarType type) {
  at::manual_seed(1);
  std::vector<at::Tensor> inputs = {at::randn({5, 83}), at::randn({5, 83}), at::randn({83})};
  for (at::Tensor& input : inputs) input = input.to(type).requires_grad_(true);
  const at::Tensor through_sum = at::randn({5, 83}).to(type);
  const at::Tensor through_norm = at::randn({5, 83}).to(type);
  const SumAndNorm both = step(inputs[0], inputs[1], inputs[2]);
  (both.sum * through_sum + both.norm * through_norm).sum().backward();
  std::vector<at::Tensor> results = {both.sum, both.norm};
  for (const at::Tensor& input : inputs) results.push_back(input.grad());
  return results;
}

}  // namespace

TEST_CASE("a residual added with its norm gives the bits of the two steps, gradients included") {
  const auto type = GENERATE(at::kFloat, at::kBFloat16);
  const auto expected = results_of(two_steps, type), own = results_of(one_step, type);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    INFO("tensor " << i);
    CHECK(at::equal(own[i], expected[i]));
  }
}

TEST_CASE("without gradients a residual is added with its norm, in place where that is asked") {
  const at::NoGradGuard no_grad;
  const auto type = GENERATE(at::kFloat, at::kBFloat16);
  const at::Tensor x = at::randn({3, 40}).to(type), before = x.clone();
  const at::Tensor residual = at::randn({40, 3}).to(type).t(), weight = at::randn({40}).to(type);
  const SumAndNorm expected = two_steps(x, residual, weight), own = one_step(x, residual, weight);
  CHECK(at::equal(own.sum, expected.sum));
  CHECK(at::equal(own.norm, expected.norm));
  CHECK(at::equal(x, before));
  CHECK(at::equal(add_rms_norm_(x, residual, weight, kEps), expected.norm));
  CHECK(at::equal(x, expected.sum));
}

}  // namespace reflect
