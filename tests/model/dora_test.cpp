// DoRA against its formula: the norms, a projection and its gradients, files, merging.
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "model/dense.h"
#include "reflect/model/forward.h"
#include "reflect/model/llama.h"
#include "reflect/model/merge.h"
#include "temp_folder.h"

using namespace reflect;

namespace {

const std::string kModel = REFLECT_SOURCE_DIR "/tests/golden/model/llama3";
const std::string kDora = REFLECT_SOURCE_DIR "/tests/golden/train/dora_adapter";
constexpr double kScale = 1.5;

at::Tensor golden_ids() {
  return SafetensorsFile(kModel + "/expected.safetensors").view("ids")[0].clone();
}

double difference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

struct Case {
  at::Tensor x = at::randn({5, 24}), z = at::randn({5, 24});
  at::Tensor weight = at::randn({16, 24});
  LoraPair pair{at::randn({4, 24}), at::randn({16, 4}), at::randn({16}).abs()};
};

at::Tensor norms(const Case& c) {
  return at::linalg_vector_norm(c.weight + kScale * at::mm(c.pair.b, c.pair.a), 2, {1});
}

}  // namespace

TEST_CASE("row norms of W + s B A equal those of the whole sum") {
  const Case c;
  CHECK(difference(row_norms(c.weight, c.pair, kScale), norms(c)) < 1e-4);
}

TEST_CASE("a projection with DoRA and its gradients equal the formula") {
  const bool dropout = GENERATE(false, true);
  const Case c;
  const auto run = [&](const auto& projection) {
    for (const at::Tensor& t : {c.pair.a, c.pair.b, c.pair.magnitude, c.x, c.z}) {
      t.mutable_grad() = at::Tensor();
      t.set_requires_grad(true);
    }
    const at::Tensor y = projection();
    y.pow(2).sum().backward();
    return std::vector<at::Tensor>{y.detach(), c.pair.a.grad(), c.pair.b.grad(),
                                   c.pair.magnitude.grad(), c.x.grad()};
  };
  const auto expected = run([&] {
    const at::Tensor z = dropout ? c.z : c.x;
    const at::Tensor g = c.pair.magnitude / norms(c).detach();
    const at::Tensor base = at::mm(z, c.weight.t());
    const at::Tensor branch = at::mm(at::mm(z, c.pair.a.t()), c.pair.b.t());
    return at::mm(c.x, c.weight.t()) + (g - 1) * base + g * branch * kScale;
  });
  const auto ours = run([&] {
    return dense_with_lora(c.x, c.weight,
                           {c.pair, kScale, dropout ? std::optional(c.z) : std::nullopt});
  });
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CAPTURE(dropout, i);
    const double size = expected[i].abs().max().item<double>();
    CHECK(difference(ours[i], expected[i]) < 1e-4 * size);
  }
}

TEST_CASE("a fresh adapter with DoRA starts as the identity") {
  const c10::InferenceMode guard;
  const auto model = load_llama(kModel, Runtime{});
  LoraConfig config;
  config.dora = true;
  config.targets = {"k_proj", "down_proj"};
  Adapter adapter = Adapter::fresh(model->config(), config, 1);
  adapter.take_base(model->weights());
  CHECK(adapter.named().size() == 2 * 3 * static_cast<std::size_t>(3));
  const at::Tensor ids = golden_ids();
  const PackedRows rows{{0, ids.size(0)}, {}, {}};
  CHECK(difference(model->hidden(ids, rows), model->hidden(ids, rows, {&adapter})) < 1e-5);
}

TEST_CASE("peft's DoRA folder is read, and written back the same") {
  const TempFolder folder;
  const LlamaConfig config = read_llama_config(kModel);
  const Adapter adapter = read_adapter(kDora, config);
  CHECK(adapter.config.dora);
  write_adapter(folder.path(), adapter, "base");
  const SafetensorsFile theirs(kDora + "/adapter_model.safetensors");
  const SafetensorsFile ours(folder / "adapter_model.safetensors");
  CHECK(ours.names() == theirs.names());
  for (const std::string& name : theirs.names()) CHECK(ours.view(name).equal(theirs.view(name)));
  CHECK(read_adapter(folder.path(), config).config.dora);

  // The same file without its magnitudes.
  std::filesystem::copy_file(kModel + "/adapter/adapter_model.safetensors",
                             folder / "adapter_model.safetensors",
                             std::filesystem::copy_options::overwrite_existing);
  CHECK_THROWS_WITH(read_adapter(folder.path(), config), Catch::Contains("lora_magnitude_vector"));
}

TEST_CASE("a merged DoRA adapter gives the logits of base and adapter") {
  const TempFolder folder;
  MergeConfig config;
  config.model = kModel;
  config.adapter = kDora;
  config.output = folder / "merged";
  REQUIRE(merge(config) == ExitCode::kDone);
  const c10::InferenceMode guard;
  const auto base = load_llama(kModel, Runtime{}), merged = load_llama(config.output, Runtime{});
  const Adapter adapter = read_adapter(kDora, base->config());
  const at::Tensor ids = golden_ids();
  const PackedRows rows{{0, ids.size(0)}, {}, {}};
  const at::Tensor wanted = base->logits(base->hidden(ids, rows, {&adapter}));
  CHECK(difference(wanted, merged->logits(merged->hidden(ids, rows))) < 1e-4);
  const auto packed = load_forward_llama(kModel, Runtime{});
  CHECK(difference(wanted, packed->logits(packed->hidden(ids, rows, {&adapter}))) < 1e-4);
}
