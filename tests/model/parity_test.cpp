// The decoder against transformers and peft: logits, and the gradient of every LoRA matrix.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/log_softmax.h>

#include <catch2/catch.hpp>

#include "reflect/model/llama.h"

using namespace reflect;

namespace {

const std::string kGolden = REFLECT_SOURCE_DIR "/tests/golden/model/";

PackedRows two_rows(const at::Tensor& ids) {
  return {{0, ids.size(1), 2 * ids.size(1)}, {}, {}};
}

// Logits [2, T, V] of the golden ids, both rows packed.
at::Tensor logits_of(const Llama& model, const at::Tensor& ids, const Adapter* adapter = nullptr) {
  const at::Tensor hidden = model.hidden(ids.reshape({-1}), two_rows(ids), {adapter, nullptr});
  return model.logits(hidden).to(at::kFloat).view({2, ids.size(1), -1});
}

double max_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

double mean_kl(const at::Tensor& p_logits, const at::Tensor& q_logits) {
  const at::Tensor p = at::log_softmax(p_logits, -1), q = at::log_softmax(q_logits, -1);
  return (p.exp() * (p - q)).sum(-1).mean().item<double>();
}

}  // namespace

TEST_CASE("logits equal transformers in fp32") {
  for (const std::string name : {"llama3", "llama2", "mistral"}) {
    INFO(name);
    const SafetensorsFile expected(kGolden + name + "/expected.safetensors");
    const auto model = load_llama(kGolden + name, {at::kFloat, at::kCPU});
    const at::Tensor wanted = expected.view("logits");
    CHECK(wanted.std().item<double>() > 1.0);
    CHECK(max_difference(logits_of(*model, expected.view("ids")), wanted) <= 1e-4);
  }
}

TEST_CASE("bf16 logits stay close to fp32") {
  const SafetensorsFile expected(kGolden + "llama3/expected.safetensors");
  const auto model = load_llama(kGolden + "llama3", {at::kBFloat16, at::kCPU});
  const at::Tensor ours = logits_of(*model, expected.view("ids"));
  const double theirs = mean_kl(expected.view("logits"), expected.view("logits_bf16"));
  const double kl = mean_kl(expected.view("logits"), ours);
  INFO("mean KL " << kl << ", of transformers in bf16 " << theirs);
  CHECK(kl <= 1e-3);
}

TEST_CASE("adapter logits and all LoRA gradients equal peft") {
  const SafetensorsFile expected(kGolden + "llama3/expected.safetensors");
  const auto model = load_llama(kGolden + "llama3", {at::kFloat, at::kCPU});
  const Adapter adapter = read_adapter(kGolden + "llama3/adapter", model->config());
  for (const NamedTensor& t : adapter.named()) t.tensor.set_requires_grad(true);
  const at::Tensor ids = expected.view("ids");
  const at::Tensor logits = logits_of(*model, ids, &adapter);
  CHECK(max_difference(logits.detach(), expected.view("adapter_logits")) <= 1e-4);

  (logits * expected.view("probe")).sum().div(static_cast<double>(ids.size(1))).backward();
  std::size_t compared = 0;
  for (const NamedTensor& t : adapter.named()) {
    INFO(t.name);
    const at::Tensor wanted = expected.view("grad." + t.name);
    REQUIRE(t.tensor.grad().defined());
    const double relative = ((t.tensor.grad() - wanted).norm() / wanted.norm()).item<double>();
    CHECK(wanted.norm().item<double>() > 0);
    CHECK(relative <= 1e-5);
    ++compared;
  }
  CHECK(compared == 3 * 7 * 2);
}
