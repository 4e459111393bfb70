// Ranks that hold a slice of every projection each give the logits and, added up, the adapter's
// gradients of one that holds all.
#include "reflect/model/tensor_parallel.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/randn.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "dist/ranks.h"
#include "reflect/base/file.h"
#include "reflect/model/base_storage.h"
#include "reflect/model/llama.h"
#include "reflect/model/memory.h"
#include "temp_folder.h"
#include "tensor_memory.h"

using namespace reflect;

namespace {

const std::string kFolder = REFLECT_SOURCE_DIR "/tests/golden/model/llama3";
const PackedRows kRows{{0, 9, 10, 31}, {}, {}};

// A checkpoint like the golden one with 8 heads on 4 key heads and `layers` blocks, whose slices
// for four ranks are whole blocks of NF4.
LlamaConfig write_model(const std::string& folder, std::int64_t layers) {
  auto json = nlohmann::json::parse(read_file(kFolder + "/config.json"));
  json.update({{"num_hidden_layers", layers},
               {"num_attention_heads", 8},
               {"num_key_value_heads", 4},
               {"head_dim", 32},
               {"intermediate_size", 256}});
  write_file_atomic(folder + "/config.json", json.dump());
  const LlamaConfig config = read_llama_config(folder);
  ResidentWeights weights(config, Runtime{}, 1);
  for (const NamedTensor& weight : weights.named())  // so that every term of a sum counts
    if (weight.tensor.dim() == 2) weight.tensor.mul_(2);
  write_safetensors(folder + "/model.safetensors", weights.named());
  return config;
}

struct Case {
  double dropout = 0;
  bool dora = false;
  Recompute recompute = Recompute::kNone;
  std::string storage = "dtype";
  bool head = false, rows = false;  // an adapter on lm_head, trained rows of the token tables
};

Adapter adapter_of(const Case& c, WeightSource& base, const LlamaConfig& config) {
  LoraConfig lora;
  lora.rank = 4;
  lora.dora = c.dora;
  if (c.head) lora.targets.emplace_back("lm_head");
  if (c.rows) lora.token_ids = {7, 300, 14};  // two of them in the text
  Adapter adapter = Adapter::fresh(config, lora, 1);
  adapter.take_base(base);
  std::uint64_t seed = 1;
  for (const NamedTensor& named : adapter.named()) {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(seed++);
    const at::Tensor noise = at::randn(named.tensor.sizes(), generator);
    named.tensor.add_(0.03 * noise);
    named.tensor.set_requires_grad(true);
  }
  if (c.dropout > 0) adapter.dropout = LoraDropout{c.dropout, 7};
  return adapter;
}

struct Outcome {
  at::Tensor logits;
  std::vector<NamedTensor> gradients;
};

// A pass forward and back, in which each rank takes its part of the loss.
Outcome pass(const Case& c, const std::string& folder, const Placement& placement) {
  const auto llama = load_llama(folder, {}, {c.storage}, placement);
  const Adapter adapter = adapter_of(c, llama->weights(), llama->config());
  const at::Tensor ids = at::arange(kRows.tokens(), at::kLong) * 7 % 320;
  const at::Tensor hidden =
      llama->hidden(ids, kRows, {.adapter = &adapter, .recompute = c.recompute});
  const OutputHead head = llama->head(&adapter);
  Outcome outcome{head.logits(hidden.detach()).detach(), {}};
  ProcessGroup group = llama->weights().tensor_group();
  const std::int64_t begin = 31 * group.rank() / group.size();
  const std::int64_t end = 31 * (group.rank() + 1) / group.size();
  auto generator = at::make_generator<at::CPUGeneratorImpl>(std::uint64_t{3});
  const at::Tensor slopes = at::randn({31, llama->config().vocab_size}, generator);
  const at::Tensor own = head.logits(hidden.slice(0, begin, end), begin);
  (own * slopes.slice(0, begin, end)).sum().backward();
  for (const NamedTensor& named : adapter.named()) {
    const at::Tensor gradient = named.tensor.grad().clone();
    group.all_reduce(gradient);
    outcome.gradients.push_back({named.name, gradient});
  }
  return outcome;
}

void require_close(const NamedTensor& ours, const at::Tensor& theirs) {
  const at::NoGradGuard no_gradients;
  const double size = theirs.abs().max().item<double>();
  const double apart = (ours.tensor - theirs).abs().max().item<double>();
  require(size > 0 && apart < 1e-5 * size,
          ours.name + " differs by " + std::to_string(apart) + " of " + std::to_string(size));
}

void check_none(const std::vector<std::string>& failures) {
  for (const std::string& failure : failures) CHECK(failure == "");
}

}  // namespace

TEST_CASE("slices of a base give the logits and the adapter gradients of the whole") {
  const TempFolder folder;
  write_model(folder.path(), 3);
  const int ranks = GENERATE(2, 4);
  const Case c =
      GENERATE(Case{}, Case{.dropout = 0.3}, Case{.dora = true}, Case{0.3, true, Recompute::kBlock},
               Case{0.3, false, Recompute::kSelective}, Case{0.3, false, Recompute::kBlock, "fp8"},
               Case{0.3, true, Recompute::kBlock, "nf4"}, Case{.dropout = 0.3, .rows = true},
               Case{.dropout = 0.3, .dora = true, .head = true},
               Case{0.3, false, Recompute::kBlock, "nf4", true, true});
  CAPTURE(ranks, c.dropout, c.dora, name_of(c.recompute), c.storage, c.head, c.rows);
  const Outcome whole = pass(c, folder.path(), {});
  check_none(run_ranks(ranks, [&](ProcessGroup& group) {
    const Outcome ours = pass(c, folder.path(), {.group = group, .tensor_parallel = group.size()});
    require_close({"logits", ours.logits}, whole.logits);
    for (std::size_t i = 0; i < whole.gradients.size(); ++i)
      require_close(ours.gradients[i], whole.gradients[i].tensor);
  }));
}

TEST_CASE("recomputed blocks of a sliced base give the same bits") {
  check_none(run_ranks(2, [&](ProcessGroup& group) {
    const Placement placement{.group = group, .tensor_parallel = 2};
    const Outcome kept = pass({0.3, false, Recompute::kNone}, kFolder, placement);
    const Outcome again = pass({0.3, false, Recompute::kBlock}, kFolder, placement);
    require(kept.logits.equal(again.logits), "logits");
    for (std::size_t i = 0; i < kept.gradients.size(); ++i)
      require(kept.gradients[i].tensor.equal(again.gradients[i].tensor), kept.gradients[i].name);
  }));
}

TEST_CASE("a rank of a sliced base holds its slice of the blocks and the tables") {
  constexpr std::int64_t kRanks = 4, kLayers = 16;
  const std::string storage = GENERATE("dtype", "fp8", "nf4");
  CAPTURE(storage);
  const TempFolder folder;
  const LlamaConfig config = write_model(folder.path(), kLayers);
  BaseLayout layout{.dtype = at::kFloat, .storage = storage};
  const std::int64_t whole = base_memory(config, layout).weights;
  layout.tensor_parallel = kRanks;
  const BaseMemory own = base_memory(config, layout);
  const std::int64_t tables = 2 * config.vocab_size * config.hidden_size * 4;
  CHECK(own.weights < tables + (whole - tables) * 3 / 10);  // norms and some scales are whole
  std::int64_t block = 0;
  for (const Projection p : kProjections) {
    const auto [out, in] = shape_of(config, p);
    block += out * in * 4;
  }
  std::atomic<std::int64_t> held = 0, peak = 0;
  const TensorMemory memory;
  check_none(run_ranks(kRanks, [&](ProcessGroup& group) {
    const auto weights = load_weights(folder.path(), config, {}, {storage},
                                      {.group = group, .tensor_parallel = kRanks});
    group.barrier();
    if (group.rank() == 0) {
      held = memory.bytes();
      peak = memory.peak();
    }
    group.barrier();
  }));
  const std::int64_t expected = kRanks * (own.weights + own.buffers);
  CHECK(held >= expected);
  CHECK(held < expected + expected / 50);
  CHECK(peak < expected + kRanks * block);  // less than a block more while it loads
}

TEST_CASE("what cannot be cut is refused with a remedy") {
  LlamaConfig model = read_llama_config(kFolder);  // 6 heads on 2, 112 inside
  CHECK(sliced(model, 2).num_attention_heads == 3);
  CHECK_THROWS_WITH(sliced(model, 4), Catch::Contains("6 query heads") &&
                                          Catch::Contains("cannot be cut over 4 processes") &&
                                          Catch::Contains("--placement shard"));
  model.num_attention_heads = 8;
  CHECK_THROWS_WITH(sliced(model, 4), Catch::Contains("2 key heads"));
  model.num_key_value_heads = 4;
  model.intermediate_size = 110;
  CHECK_THROWS_WITH(sliced(model, 4), Catch::Contains("110 intermediate_size"));
  model.intermediate_size = 256;
  require_cut(model, "nf4", 2);
  CHECK(cuts_nf4_blocks(model, 4) == Projection::kO);  // 128 inputs
  model.head_dim = 32;
  model.intermediate_size = 192;
  CHECK(cuts_nf4_blocks(model, 4) == Projection::kDown);
  require_cut(model, "fp8", 4);
  for (const std::string& failure : run_ranks(2, [&](ProcessGroup& group) {
         load_llama(kFolder, {}, {"nf4"}, {.group = group, .tensor_parallel = 2});
       }))
    CHECK_THAT(failure, Catch::Contains("o_proj [48, 96] into slices of 48 weights a row") &&
                            Catch::Contains("not whole blocks of NF4 (64 weights)") &&
                            Catch::Contains("--base.storage fp8, or --placement shard"));
}
