// What the decoder must keep whatever the batch: rows apart, cache equal to a full pass.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <c10/core/InferenceMode.h>

#include <catch2/catch.hpp>

#include "reflect/base/error.h"
#include "reflect/model/forward.h"
#include "reflect/model/llama.h"

using namespace reflect;

namespace {

const std::string kGolden = REFLECT_SOURCE_DIR "/tests/golden/model/";

at::Tensor golden_ids(const std::string& name) {
  return SafetensorsFile(kGolden + name + "/expected.safetensors").view("ids").clone();
}

}  // namespace

TEST_CASE("a packed row never sees its neighbours") {
  const c10::InferenceMode guard;
  const auto model = load_llama(kGolden + "llama3", {at::kFloat, at::kCPU});
  const at::Tensor ids = golden_ids("llama3").reshape({-1});
  const PackedRows rows{{0, 20, 48, 96}, {}, {}};
  const at::Tensor before = model->hidden(ids, rows);
  at::Tensor changed = ids.clone();
  changed.narrow(0, 20, 28).fill_(5);
  const at::Tensor after = model->hidden(changed, rows);
  CHECK(at::equal(before.narrow(0, 0, 20), after.narrow(0, 0, 20)));
  CHECK(at::equal(before.narrow(0, 48, 48), after.narrow(0, 48, 48)));
  CHECK_FALSE(at::equal(before.narrow(0, 20, 28), after.narrow(0, 20, 28)));
}

TEST_CASE("packed rows equal single rows") {
  const c10::InferenceMode guard;
  const auto model = load_llama(kGolden + "llama3", {at::kFloat, at::kCPU});
  const at::Tensor ids = golden_ids("llama3").reshape({-1});
  const at::Tensor packed = model->hidden(ids, {{0, 20, 48, 96}, {}, {}});
  const at::Tensor single = model->hidden(ids.narrow(0, 20, 28), {{0, 28}, {}, {}});
  CHECK(at::allclose(packed.narrow(0, 20, 28), single, 1e-5, 1e-5));
}

TEST_CASE("the hidden states of some tokens are those of a pass for all") {
  const c10::InferenceMode guard;
  const PackedRows rows{{0, 20, 48, 96}, {}, {}, {-1, 0, -1}};
  const at::Tensor wanted = at::tensor({19, 20, 47, 95, 3, 60}, at::kLong);
  for (const std::string name : {"llama3", "llama2", "mistral"}) {
    INFO(name);
    const at::Tensor ids = golden_ids(name).reshape({-1});
    const auto check = [&](const Llama& model, double tolerance) {
      const at::Tensor some = model.hidden(ids, rows, {.wanted = wanted});
      const at::Tensor all = model.hidden(ids, rows).index_select(0, wanted);
      CHECK(at::allclose(some, all, tolerance, tolerance));
    };
    check(*load_llama(kGolden + name, {at::kFloat, at::kCPU}), 1e-5);
    check(*load_forward_llama(kGolden + name, {at::kFloat, at::kCPU}), 0);  // the same bits
  }
}

TEST_CASE("packed weights give the logits of plain ones") {
  const c10::InferenceMode guard;
  const PackedRows rows{{0, 20, 48, 96}, {}, {}};
  for (const std::string name : {"llama3", "llama2", "mistral"}) {
    INFO(name);
    const at::Tensor ids = golden_ids(name).reshape({-1});
    const auto check = [&](at::ScalarType dtype, double tolerance) {
      const auto plain = load_llama(kGolden + name, {dtype, at::kCPU});
      const auto packed = load_forward_llama(kGolden + name, {dtype, at::kCPU});
      CHECK(packed->weights().block(0)[Projection::kQ].is_mkldnn() ==
            (dtype == at::kFloat || __builtin_cpu_supports("avx512bf16")));
      CHECK(at::allclose(packed->logits(packed->hidden(ids, rows)),
                         plain->logits(plain->hidden(ids, rows)), tolerance, tolerance));
    };
    check(at::kFloat, 1e-5);
    check(at::kBFloat16, 0);  // oneDNN's product either way: the same bits
  }
}

TEST_CASE("a batch whose feed-forward runs in parts equals its rows") {
  const c10::InferenceMode guard;
  const auto model = load_forward_llama(kGolden + "llama3", {at::kFloat, at::kCPU});
  const at::Tensor ids = golden_ids("llama3").reshape({-1});
  const at::Tensor single = model->hidden(ids, {{0, 48, 96}, {}, {}});
  PackedRows many{{0}, {}, {}};
  for (int i = 0; i < 22; ++i) many.offsets.push_back(48 * (i + 1));
  const at::Tensor all = model->hidden(ids.repeat({11}), many);  // 1056 tokens
  for (int i = 0; i < 11; ++i) CHECK(at::equal(all.narrow(0, 96 * i, 96), single));
}

TEST_CASE("decoding with a cache equals one full pass") {
  const c10::InferenceMode guard;
  for (const std::string name : {"llama3", "llama2", "mistral"}) {
    INFO(name);
    const auto model = load_llama(kGolden + name, {at::kFloat, at::kCPU});
    const at::Tensor ids = golden_ids(name);
    const at::Tensor full = model->hidden(ids.reshape({-1}), {{0, 48, 96}, {}, {}});
    KvCache cache(model->config(), 3, 64, model->runtime());
    // Row 0 in slot 2, row 1 in slot 0: a prompt of 10 and 30 tokens, a chunk of 5, then one by
    // one.
    std::vector<at::Tensor> parts[2];
    std::int64_t done[2] = {0, 0};
    const std::int64_t slots[2] = {2, 0};
    const auto advance = [&](std::int64_t n0, std::int64_t n1) {
      const std::int64_t n[2] = {n0, n1};
      PackedRows rows{{0}, {}, {}};
      std::vector<at::Tensor> chunk;
      for (int r = 0; r < 2; ++r) {
        if (n[r] == 0) continue;
        chunk.push_back(ids[r].narrow(0, done[r], n[r]));
        rows.offsets.push_back(rows.offsets.back() + n[r]);
        rows.past.push_back(done[r]);
        rows.slots.push_back(slots[r]);
      }
      const at::Tensor hidden = model->hidden(at::cat(chunk), rows, {nullptr, &cache});
      std::int64_t begin = 0;
      for (int r = 0; r < 2; ++r) {
        parts[r].push_back(hidden.narrow(0, begin, n[r]));
        begin += n[r];
        done[r] += n[r];
      }
    };
    advance(10, 30);
    advance(5, 1);
    while (done[0] < 48) advance(1, done[1] < 48 ? 1 : 0);
    CHECK(at::allclose(at::cat(parts[0]), full.narrow(0, 0, 48), 1e-4, 1e-4));
    CHECK(at::allclose(at::cat(parts[1]), full.narrow(0, 48, 48), 1e-4, 1e-4));
  }
}

TEST_CASE("a row longer than the window is an error") {
  const auto model = load_llama(kGolden + "llama3", {at::kFloat, at::kCPU});
  const at::Tensor ids = at::cat(std::vector<at::Tensor>(11, golden_ids("llama3")[0]));
  CHECK_THROWS_WITH(model->hidden(ids, {{0, 528}, {}, {}}), Catch::Contains("528 tokens"));
}

TEST_CASE("gradients reach every weight in full fine-tuning") {
  const LlamaConfig config = read_llama_config(kGolden + "llama2");
  auto weights =
      std::make_shared<ResidentWeights>(kGolden + "llama2", config, Runtime{at::kFloat, at::kCPU});
  for (const NamedTensor& t : weights->named()) t.tensor.set_requires_grad(true);
  const Llama model(config, weights, {at::kFloat, at::kCPU});
  const at::Tensor ids = golden_ids("llama2").reshape({-1});
  model.logits(model.hidden(ids, {{0, 48, 96}, {}, {}})).pow(2).mean().backward();
  for (const NamedTensor& t : weights->named()) {
    INFO(t.name);
    REQUIRE(t.tensor.grad().defined());
    CHECK(t.tensor.grad().norm().item<double>() > 0);
  }
}

TEST_CASE("LoRA dropout is a function of its key") {
  const auto model = load_llama(kGolden + "llama3", {at::kFloat, at::kCPU});
  Adapter adapter = read_adapter(kGolden + "llama3/adapter", model->config());
  const at::Tensor ids = golden_ids("llama3")[0];
  const auto run = [&](std::uint64_t key) {
    adapter.dropout = LoraDropout{0.3, key};
    return model->hidden(ids, {{0, 48}, {}, {}}, {&adapter, nullptr}).detach();
  };
  CHECK(at::equal(run(1), run(1)));
  CHECK_FALSE(at::equal(run(1), run(2)));
}
