#include "reflect/train/optimizer.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <catch2/catch.hpp>
#include <cmath>

#include "temp_folder.h"

using namespace reflect;

namespace {

std::vector<NamedTensor> tensors() {
  at::manual_seed(1);
  return {{"norm", at::randn({5})}, {"a", at::randn({7, 3})}, {"b", at::randn({2, 11})}};
}

void set_gradients(ParameterBuffer& buffer, std::uint64_t seed) {
  at::manual_seed(seed);
  for (const Parameter& p : buffer.parameters())
    buffer.view(buffer.gradients(), p).copy_(at::randn(p.tensor.sizes()));
}

// AdamW as its paper states it (algorithm 2), in double.
struct NaiveAdamW {
  double value, m = 0, v = 0;
  void step(double g, std::int64_t t, double lr, double decay, const OptimizerConfig& c) {
    m = c.beta1 * m + (1 - c.beta1) * g;
    v = c.beta2 * v + (1 - c.beta2) * g * g;
    const double m_hat = m / (1 - std::pow(c.beta1, t)), v_hat = v / (1 - std::pow(c.beta2, t));
    value -= lr * (m_hat / (std::sqrt(v_hat) + c.eps) + decay * value);
  }
};

}  // namespace

TEST_CASE("AdamW is the paper's update, with weight decay on matrices only") {
  const OptimizerConfig config{.lr = 0.01, .beta1 = 0.9, .beta2 = 0.95, .weight_decay = 0.1};
  ParameterBuffer buffer(tensors(), at::kFloat);
  AdamW optimizer(config, buffer);
  std::vector<std::vector<NaiveAdamW>> naive;
  for (const Parameter& p : buffer.parameters()) {
    naive.emplace_back();
    const at::Tensor flat = p.tensor.detach().reshape({-1});
    for (std::int64_t i = 0; i < p.size; ++i) naive.back().push_back({flat[i].item<double>()});
  }
  for (std::int64_t t = 1; t <= 4; ++t) {
    const double lr = config.lr / static_cast<double>(t);
    set_gradients(buffer, static_cast<std::uint64_t>(t));
    optimizer.step(lr);
    for (std::size_t k = 0; k < naive.size(); ++k) {
      const Parameter& p = buffer.parameters()[k];
      const double decay = p.tensor.dim() >= 2 ? config.weight_decay : 0;
      const at::Tensor gradient = buffer.view(buffer.gradients(), p).reshape({-1});
      const at::Tensor values = p.tensor.detach().reshape({-1});
      for (std::int64_t i = 0; i < p.size; ++i) {
        NaiveAdamW& number = naive[k][static_cast<std::size_t>(i)];
        number.step(gradient[i].item<double>(), t, lr, decay, config);
        REQUIRE(values[i].item<double>() == Approx(number.value).margin(1e-6));
      }
    }
  }
}

TEST_CASE("optimizer state survives saving and loading bit by bit") {
  const TempFolder folder;
  ParameterBuffer one(tensors(), at::kFloat), two(tensors(), at::kFloat);
  AdamW first(OptimizerConfig{}, one), second(OptimizerConfig{}, two);
  for (std::uint64_t seed : {1, 2, 3}) {
    set_gradients(one, seed);
    first.step(0.01);
  }
  write_safetensors(folder / "optimizer.safetensors", first.state());
  two.values().copy_(one.values());
  second.load(SafetensorsFile(folder / "optimizer.safetensors"));
  set_gradients(one, 9);
  set_gradients(two, 9);
  first.step(0.01);
  second.step(0.01);
  CHECK(at::equal(one.values(), two.values()));
}

TEST_CASE("gradients flow into the flat buffer and add up over backward passes") {
  const at::ScalarType dtype = GENERATE(at::kFloat, at::kBFloat16);
  std::vector<NamedTensor> named = tensors();
  ParameterBuffer buffer(named, dtype);
  CHECK(buffer.count() == 5 + 21 + 22);
  for (int pass = 0; pass < 2; ++pass) {
    at::Tensor sum = at::zeros({});
    for (const NamedTensor& n : named) sum = sum + (n.tensor.to(at::kFloat) * 3).sum();
    sum.backward();
    buffer.collect_gradients();
  }
  CHECK(buffer.gradients().sum().item<double>() == 6 * (5 + 21 + 22));
  CHECK(buffer.gradient_norm() == Approx(6 * std::sqrt(48.0)));
  buffer.zero_gradients();
  CHECK(buffer.gradients().abs().sum().item<double>() == 0);
}

TEST_CASE("bf16 compute keeps fp32 masters: small updates are not lost") {
  std::vector<NamedTensor> named = {{"w", at::ones({4, 4})}};
  ParameterBuffer buffer(named, at::kBFloat16);
  CHECK(named[0].tensor.scalar_type() == at::kBFloat16);
  for (int i = 0; i < 100; ++i) {  // each is a quarter of what bf16 resolves at 1
    buffer.values().add_(0.001);
    buffer.publish_values();
  }
  CHECK(named[0].tensor[0][0].item<double>() == Approx(1.1).epsilon(0.004));
}

TEST_CASE("clipping scales to the norm and leaves small gradients alone") {
  ParameterBuffer buffer(tensors(), at::kFloat);
  set_gradients(buffer, 4);
  const double norm = buffer.gradient_norm();
  const at::Tensor before = buffer.gradients().clone();
  buffer.clip_gradients(norm, 2 * norm);
  CHECK(at::equal(buffer.gradients(), before));
  buffer.clip_gradients(norm, norm / 4);
  CHECK(buffer.gradient_norm() == Approx(norm / 4).epsilon(1e-5));
}
