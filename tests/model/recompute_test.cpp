// Recomputing blocks in the backward pass: the same bits, and no weights kept in between.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>

#include <algorithm>
#include <catch2/catch.hpp>

#include "reflect/model/llama.h"
#include "tensor_memory.h"

using namespace reflect;

namespace {

const std::string kGolden = REFLECT_SOURCE_DIR "/tests/golden/model/";

// Hands out a copy of each block, as sources do that gather or dequantise, and knows how many of
// its copies are still held.
class CopyingWeights : public WeightSource {
 public:
  explicit CopyingWeights(std::shared_ptr<ResidentWeights> resident)
      : resident_(std::move(resident)) {}

  BlockWeights block(std::int64_t layer) override {
    BlockWeights copy = resident_->block(layer);
    for (at::Tensor& projection : copy.projections) {
      projection = projection.clone();
      copies_.push_back(projection.storage().getWeakStorageImpl());
    }
    most_held = std::max(most_held, held());
    asked.push_back(layer);
    return copy;
  }
  at::Tensor embedding() override { return resident_->embedding(); }
  at::Tensor final_norm() override { return resident_->final_norm(); }
  at::Tensor lm_head() override { return resident_->lm_head(); }
  bool lasting() const override { return false; }

  std::ptrdiff_t held() const {
    return std::ranges::count_if(copies_, [](const auto& copy) { return !copy.expired(); });
  }

  std::vector<std::int64_t> asked;  // layers, in order
  std::ptrdiff_t most_held = 0;     // copies at once

 private:
  std::shared_ptr<ResidentWeights> resident_;
  std::vector<c10::weak_intrusive_ptr<c10::StorageImpl>> copies_;
};

at::Tensor golden_ids(const std::string& name) {
  return SafetensorsFile(kGolden + name + "/expected.safetensors")
      .view("ids")
      .reshape({-1})
      .clone();
}

struct Result {
  at::Tensor loss;
  std::vector<NamedTensor> gradients;
};

// A loss over two packed rows and the gradients of `trained`, which are cleared after.
Result loss_and_gradients(const Llama& model, const std::vector<NamedTensor>& trained,
                          const at::Tensor& ids, const ForwardOptions& options) {
  const at::Tensor hidden = model.hidden(ids, {{0, 40, ids.size(0)}, {}, {}}, options);
  const at::Tensor loss = model.logits(hidden).to(at::kFloat).pow(2).mean();
  loss.backward();
  Result result{loss.detach(), {}};
  for (const NamedTensor& t : trained) {
    REQUIRE(t.tensor.grad().defined());
    result.gradients.push_back({t.name, t.tensor.grad()});
    t.tensor.mutable_grad() = at::Tensor();
  }
  return result;
}

void check_equal(const Result& a, const Result& b) {
  CHECK(at::equal(a.loss, b.loss));
  REQUIRE(a.gradients.size() == b.gradients.size());
  for (std::size_t i = 0; i < a.gradients.size(); ++i) {
    INFO(a.gradients[i].name);
    CHECK(at::equal(a.gradients[i].tensor, b.gradients[i].tensor));
  }
}

std::vector<NamedTensor> trained_tensors(const Adapter& adapter) {
  for (const NamedTensor& t : adapter.named()) t.tensor.set_requires_grad(true);
  return adapter.named();
}

}  // namespace

TEST_CASE("recomputed blocks give the same loss and adapter gradients, bit by bit") {
  const at::ScalarType dtype = GENERATE(at::kFloat, at::kBFloat16);
  const double dropout = GENERATE(0.0, 0.3);
  CAPTURE(c10::toString(dtype), dropout);
  const auto model = load_llama(kGolden + "llama3", {dtype, at::kCPU});
  Adapter adapter = read_adapter(kGolden + "llama3/adapter", model->config());
  adapter.dropout = LoraDropout{dropout, 7};
  const std::vector<NamedTensor> trained = trained_tensors(adapter);
  const at::Tensor ids = golden_ids("llama3");
  const auto run = [&](Recompute recompute) {
    return loss_and_gradients(*model, trained, ids, {&adapter, nullptr, recompute});
  };
  check_equal(run(Recompute::kBlock), run(Recompute::kNone));
  check_equal(run(Recompute::kSelective), run(Recompute::kNone));
}

TEST_CASE("recomputed blocks give the same gradient of every weight") {
  const std::string name = GENERATE("llama2", "mistral");
  const LlamaConfig config = read_llama_config(kGolden + name);
  const Runtime runtime{at::kFloat, at::kCPU};
  const auto weights = std::make_shared<ResidentWeights>(kGolden + name, config, runtime);
  for (const NamedTensor& t : weights->named()) t.tensor.set_requires_grad(true);
  const Llama model(config, weights, runtime);
  const auto run = [&](Recompute recompute) {
    return loss_and_gradients(model, weights->named(), golden_ids(name),
                              {nullptr, nullptr, recompute});
  };
  check_equal(run(Recompute::kBlock), run(Recompute::kNone));
  check_equal(run(Recompute::kSelective), run(Recompute::kNone));
}

TEST_CASE("selective recomputation takes memory between that of none and of blocks") {
  const bool dora = GENERATE(false, true);
  const auto model = load_llama(kGolden + "llama3", {at::kFloat, at::kCPU});
  LoraConfig lora;
  lora.dora = dora;
  Adapter adapter = Adapter::fresh(model->config(), lora, 1);
  adapter.take_base(model->weights());
  const std::vector<NamedTensor> trained = trained_tensors(adapter);
  const at::Tensor ids = golden_ids("llama3");
  std::vector<std::int64_t> peaks;
  std::vector<Result> results;
  for (const Recompute mode : {Recompute::kNone, Recompute::kSelective, Recompute::kBlock}) {
    const TensorMemory memory;
    results.push_back(loss_and_gradients(*model, trained, ids, {&adapter, nullptr, mode}));
    peaks.push_back(memory.peak());
  }
  check_equal(results[1], results[0]);
  check_equal(results[2], results[0]);
  CHECK(peaks[1] < peaks[0]);
  CHECK(peaks[2] < peaks[1]);
}

TEST_CASE("an adapter on some blocks only gets the same gradients from recomputed blocks") {
  const auto model = load_llama(kGolden + "llama3", {at::kFloat, at::kCPU});
  Adapter adapter = read_adapter(kGolden + "llama3/adapter", model->config());
  adapter.blocks.front() = {};
  adapter.blocks.back() = {};
  const std::vector<NamedTensor> trained = trained_tensors(adapter);
  const at::Tensor ids = golden_ids("llama3");
  const auto run = [&](Recompute recompute) {
    return loss_and_gradients(*model, trained, ids, {&adapter, nullptr, recompute});
  };
  check_equal(run(Recompute::kBlock), run(Recompute::kNone));
}

TEST_CASE("between its forward and its backward pass nothing holds a block's weights") {
  const LlamaConfig config = read_llama_config(kGolden + "llama3");
  const Runtime runtime{at::kFloat, at::kCPU};
  const auto resident = std::make_shared<ResidentWeights>(kGolden + "llama3", config, runtime);
  const auto source = std::make_shared<CopyingWeights>(resident);
  const Llama model(config, source, runtime);
  const Adapter adapter = read_adapter(kGolden + "llama3/adapter", config);
  trained_tensors(adapter);
  const at::Tensor ids = golden_ids("llama3");
  const PackedRows rows{{0, ids.size(0)}, {}, {}};

  const at::Tensor hidden = model.hidden(ids, rows, {&adapter});
  CHECK(hidden.requires_grad());
  CHECK(source->held() == 0);
  hidden.pow(2).mean().backward();
  CHECK(source->held() == 0);
  CHECK(source->most_held == 7);  // one block
  CHECK(source->asked == std::vector<std::int64_t>{0, 1, 2, 2, 1, 0});
  CHECK(adapter.blocks[0][Projection::kQ]->b.grad().norm().item<double>() > 0);
}

TEST_CASE("activations are kept without the weights that do not stay") {
  const Recompute recompute = GENERATE(Recompute::kNone, Recompute::kSelective);
  const bool dora = GENERATE(false, true);
  CAPTURE(name_of(recompute), dora);
  const LlamaConfig config = read_llama_config(kGolden + "llama3");
  const Runtime runtime{at::kFloat, at::kCPU};
  const auto resident = std::make_shared<ResidentWeights>(kGolden + "llama3", config, runtime);
  const auto source = std::make_shared<CopyingWeights>(resident);
  const Llama kept(config, resident, runtime), model(config, source, runtime);
  LoraConfig lora;
  lora.dora = dora;
  lora.targets = {"q_proj", "o_proj", "down_proj"};
  Adapter adapter = Adapter::fresh(config, lora, 1);
  adapter.take_base(*resident);
  adapter.dropout = LoraDropout{0.3, 7};
  const std::vector<NamedTensor> trained = trained_tensors(adapter);
  const at::Tensor ids = golden_ids("llama3");

  const at::Tensor hidden =
      model.hidden(ids, {{0, ids.size(0)}, {}, {}}, {&adapter, nullptr, recompute});
  CHECK(source->held() == 0);
  hidden.pow(2).mean().backward();
  CHECK(source->held() == 0);
  CHECK(source->most_held <= 8);  // one block, and a projection of the one before
  const auto again = std::ranges::unique(source->asked);
  source->asked.erase(again.begin(), again.end());
  CHECK(source->asked == std::vector<std::int64_t>{0, 1, 2, 1, 0});

  for (const NamedTensor& t : trained) t.tensor.mutable_grad() = at::Tensor();
  const ForwardOptions options{&adapter, nullptr, recompute};
  check_equal(loss_and_gradients(model, trained, ids, options),
              loss_and_gradients(kept, trained, ids, options));
}
