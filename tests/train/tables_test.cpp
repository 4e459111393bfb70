// Adapters on the token tables (LoRA on lm_head, trained token rows) against peft: files, logits,
// ten training steps, merging.
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>

#include <catch2/catch.hpp>

#include "golden_case.h"
#include "reflect/model/forward.h"
#include "reflect/model/memory.h"
#include "reflect/model/merge.h"
#include "temp_folder.h"
#include "train/trained_tokens.h"

using namespace reflect;

namespace {

const std::string kTables = REFLECT_SOURCE_DIR "/tests/golden/tables/";
const std::string kModels = REFLECT_SOURCE_DIR "/tests/golden/model/";
const std::vector<std::string> kCases = {"head", "rows", "dora", "tied_rows", "tied_head"};

std::string base_of(const std::string& name) {
  return kModels + (name.starts_with("tied") ? "llama2" : "llama3");
}

TunedModelOptions tuned(const std::string& name) {
  return {.folder = base_of(name), .initial_adapter = kTables + name};
}

double difference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

at::Tensor logits_of(const Llama& model, const at::Tensor& ids, const Adapter* adapter) {
  const c10::InferenceMode guard;
  const PackedRows rows{{0, ids.numel()}, {}, {}};
  return model.logits(model.hidden(ids.view({-1}), rows, {adapter}), adapter);
}

nlohmann::json config_in(const std::string& folder) {
  return nlohmann::json::parse(read_file(folder + "/adapter_config.json"));
}

}  // namespace

TEST_CASE("ten steps of adapters on the token tables equal those of transformers and peft") {
  const std::string name = GENERATE(from_range(kCases));
  const auto recompute = GENERATE(Recompute::kNone, Recompute::kBlock);
  CAPTURE(name, recompute == Recompute::kBlock);
  GoldenCase golden = read_golden_case("lora");
  golden.curve = nlohmann::json::parse(read_file(kTables + name + ".json"))["curve"];
  TunedModelOptions options = tuned(name);
  options.recompute = recompute;
  TunedModel model(options, Runtime{});
  const TempFolder folder;
  Trainer trainer(golden_config(golden, folder.path()), model, golden.examples, no_packs());
  for (std::size_t step = 0; step < golden.steps.size(); ++step) {
    CAPTURE(step);
    const StepReport report = trainer.train_step(golden.steps[step]);
    const auto& expected = golden.curve[step];
    CHECK(report.loss.mean() == Approx(expected["loss"].get<double>()).epsilon(1e-5));
    CHECK(report.gradient_norm == Approx(expected["grad_norm"].get<double>()).epsilon(1e-5));
  }
  const SafetensorsFile expected(kTables + name + ".safetensors");
  CHECK(expected.names().size() == model.parameters().parameters().size() + 2);
  for (const Parameter& p : model.parameters().parameters()) {
    CAPTURE(p.name);
    CHECK(difference(p.tensor, expected.view(p.name)) < 5e-6);
  }
}

TEST_CASE("peft's adapters on the token tables have its logits, are written back, and merge") {
  const std::string name = GENERATE(from_range(kCases));
  CAPTURE(name);
  const SafetensorsFile expected(kTables + name + ".safetensors");
  const at::Tensor ids = expected.view("ids"), wanted = expected.view("logits")[0];
  const LlamaConfig config = read_llama_config(base_of(name));
  const Adapter adapter = read_adapter(kTables + name, config);
  CHECK(difference(logits_of(*load_llama(base_of(name), Runtime{}), ids, &adapter), wanted) < 1e-4);
  const auto packed = load_forward_llama(base_of(name), Runtime{});
  CHECK(difference(logits_of(*packed, ids, &adapter), wanted) < 1e-4);

  const TempFolder folder;
  write_adapter(folder / "adapter", adapter, "base");
  const SafetensorsFile theirs(kTables + name + "/adapter_model.safetensors");
  const SafetensorsFile ours(folder / "adapter/adapter_model.safetensors");
  const bool copied = theirs.contains("base_model.model.lm_head.base_layer.weight");
  CHECK(ours.names().size() + copied == theirs.names().size());
  for (const std::string& tensor : ours.names())
    CHECK(at::equal(ours.view(tensor), theirs.view(tensor)));
  for (const char* key : {"target_modules", "trainable_token_indices", "use_dora"})
    CHECK(config_in(folder / "adapter")[key] == config_in(kTables + name)[key]);

  MergeConfig merging;
  merging.model = base_of(name);
  merging.adapter = folder / "adapter";
  merging.output = folder / "merged";
  REQUIRE(merge(merging) == ExitCode::kDone);
  // llama2 is stored in bf16: the sums are rounded to it, as peft's would be.
  const double bound = name.starts_with("tied") ? 0.2 : 1e-4;
  const auto merged = load_llama(merging.output, Runtime{});
  CHECK(merged->config().tie_word_embeddings == (name == "tied_rows"));
  CHECK(difference(logits_of(*merged, ids, nullptr), wanted) < bound * wanted.std().item<double>());
}

TEST_CASE("a fresh adapter on the token tables is the identity, of the size that is planned") {
  const std::string base = GENERATE("llama2", "llama3");
  const bool head = GENERATE(false, true), dora = GENERATE(false, true);
  const LlamaConfig model = read_llama_config(kModels + base);
  LoraConfig config;
  config.targets = {"q_proj"};
  config.dora = dora;
  if (head) config.targets.emplace_back("lm_head");
  if (!head || !model.tie_word_embeddings) config.token_ids = {9, 0, 319};
  CAPTURE(base, head, dora);
  const auto llama = load_llama(kModels + base, Runtime{});
  Adapter adapter = Adapter::fresh(model, config, 1);
  adapter.take_base(llama->weights());
  const at::Tensor ids = at::arange(12, at::kLong);
  CHECK(difference(logits_of(*llama, ids, &adapter), logits_of(*llama, ids, nullptr)) < 1e-4);
  std::int64_t numbers = 0;
  for (const NamedTensor& tensor : adapter.named()) numbers += tensor.tensor.numel();
  CHECK(numbers == adapter_size(model, config));
}

TEST_CASE("the gradients of single log-probabilities are those of their weighted sum") {
  const std::string name = GENERATE("head", "rows", "dora");
  CAPTURE(name);
  const auto llama = load_llama(base_of(name), Runtime{});
  Adapter adapter = read_adapter(kTables + name, llama->config());
  adapter.dropout = LoraDropout{0.3, 7};  // as a preference's step has it
  std::vector<at::Tensor> tensors;
  adapter.for_each_tensor([&](at::Tensor& t) { tensors.push_back(t.requires_grad_(true)); });
  const at::Tensor hidden = at::randn({30, llama->config().hidden_size}).requires_grad_(true);
  const at::Tensor targets = at::arange(30, at::kLong) * 10, weights = at::rand({30});
  const auto gradients = [&](const at::Tensor& loss) {
    hidden.mutable_grad() = at::Tensor();
    for (const at::Tensor& t : tensors) t.mutable_grad() = at::Tensor();
    loss.backward();
    std::vector<at::Tensor> all = {hidden.grad()};
    for (const at::Tensor& t : tensors)
      if (t.grad().defined()) all.push_back(t.grad());
    return all;
  };
  const OutputHead head = llama->head(&adapter);
  const auto sum = gradients(weighted_cross_entropy(hidden, head, targets, weights).sum);
  const auto single = gradients(token_nll(hidden, head, targets).dot(weights));
  const auto plain = gradients(-at::log_softmax(head.logits(hidden), 1)
                                    .gather(1, targets.unsqueeze(1))
                                    .squeeze(1)
                                    .dot(weights));
  REQUIRE(sum.size() > 1);
  REQUIRE(single.size() == sum.size());
  REQUIRE(plain.size() == sum.size());
  for (std::size_t i = 0; i < sum.size(); ++i) {
    CHECK(at::equal(sum[i], single[i]));
    CHECK(difference(sum[i], plain[i]) < 1e-5 * plain[i].abs().max().item<double>() + 1e-6);
  }
}

TEST_CASE("tokens are named by id, by a special token's text or by a text of one token") {
  const auto tokenizer = load_tokenizer(kModels + "llama3");
  const std::int64_t letter = tokenizer->encode("a", SpecialText::kPlain, true).front().id;
  CHECK(token_ids_of({"17", "<|eot_id|>", "a"}, *tokenizer) ==
        std::vector<std::int64_t>{17, *tokenizer->special_id("<|eot_id|>"), letter});
  CHECK_THROWS_WITH(token_ids_of({"<thinking>"}, *tokenizer), Catch::Contains("single tokens"));
  const LlamaConfig model = read_llama_config(kModels + "llama2");
  const auto refused = [&](std::vector<std::int64_t> ids, std::vector<std::string> targets) {
    LoraConfig config;
    config.targets = std::move(targets);
    config.token_ids = std::move(ids);
    return [=] { Adapter::fresh(model, config, 1); };
  };
  CHECK_THROWS_WITH(refused({320}, {"q_proj"})(), Catch::Contains("ids end at 319"));
  CHECK_THROWS_WITH(refused({3, 3}, {"q_proj"})(), Catch::Contains("comes twice"));
  CHECK_THROWS_WITH(refused({3}, {"lm_head"})(), Catch::Contains("leave lm_head out"));
}
