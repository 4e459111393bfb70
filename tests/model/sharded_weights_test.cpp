// A base in shares equals a whole one, and no rank holds more than its share and two units.
#include "model/sharded_weights.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "dist/ranks.h"
#include "model/checkpoint_names.h"
#include "model/gathered_units.h"
#include "reflect/base/file.h"
#include "reflect/model/base_storage.h"
#include "reflect/model/llama.h"
#include "reflect/model/safetensors.h"
#include "temp_folder.h"
#include "tensor_memory.h"

using namespace reflect;

namespace {

const std::string kFolder = REFLECT_SOURCE_DIR "/tests/golden/model/";

bool same(const BlockWeights& a, const BlockWeights& b) {
  bool equal = at::equal(a.input_norm, b.input_norm) &&
               at::equal(a.post_attention_norm, b.post_attention_norm);
  for (const Projection p : kProjections) equal = equal && at::equal(a[p], b[p]);
  return equal;
}

// A pass with gradients and one without.
void require_equal_passes(WeightSource& shares, WeightSource& whole, std::int64_t layers) {
  const auto check = [&](std::int64_t layer) {
    require(same(shares.block(layer), whole.block(layer)), "block " + std::to_string(layer));
  };
  for (const bool backward : {true, false, true}) {
    const at::AutoGradMode mode(backward);
    require(at::equal(shares.embedding(), whole.embedding()), "embedding");
    for (std::int64_t layer = 0; layer < layers; ++layer) check(layer);
    require(at::equal(shares.final_norm(), whole.final_norm()), "final norm");
    require(at::equal(shares.lm_head(), whole.lm_head()), "lm_head");
    if (!backward) continue;
    for (std::int64_t layer = layers - 1; layer >= 0; --layer) check(layer);
  }
}

void check_none(const std::vector<std::string>& failures) {
  for (const std::string& failure : failures) CHECK(failure == "");
}

}  // namespace

TEST_CASE("gathered weights are those of a base held whole, forward and backward") {
  const std::string model = GENERATE("llama3", "llama2", "mistral");
  const std::string storage = GENERATE("dtype", "fp8", "nf4");
  const int ranks = GENERATE(1, 2, 3);
  CAPTURE(model, storage, ranks);
  const std::string folder = kFolder + model;
  const LlamaConfig config = read_llama_config(folder);
  check_none(run_ranks(ranks, [&](ProcessGroup& group) {
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
      const Runtime runtime{dtype, at::kCPU};
      const auto whole = load_weights(folder, config, runtime, {storage});
      const auto shares =
          load_weights(folder, config, runtime, {storage}, {{.placement = "shard"}, group});
      require_equal_passes(*shares, *whole, config.num_hidden_layers);
    }
  }));
}

TEST_CASE("the unit that is likely to be next is gathered before it is asked for") {
  std::atomic<bool> arrived = false;
  check_none(run_ranks(2, [&](ProcessGroup& group) {
    GatheredUnits units({.sizes = {1000, 3000}, .group = group});
    for (const int unit : {0, 1}) units.share(unit).bytes.fill_(10 * unit + group.rank());
    units.gather(0, 1);
    if (group.rank() == 0) {
      // Asks for nothing more until rank 1 has what it can only have from here.
      for (int wait = 0; wait < 2000 && !arrived; ++wait)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      require(arrived, "the next unit was not on its way");
    }
    const at::Tensor next = units.gather(1, std::nullopt);
    require(next[0].item<int>() == 10 && next[2999].item<int>() == 11, "its bytes");
    arrived = true;
  }));
}

TEST_CASE("ranks that hold a base together make as many passes each as they want") {
  const std::string folder = kFolder + GENERATE("llama3", "llama2");
  const std::string storage = GENERATE("dtype", "nf4");
  CAPTURE(folder, storage);
  const LlamaConfig config = read_llama_config(folder);
  check_none(run_ranks(3, [&](ProcessGroup& group) {
    const auto whole = load_weights(folder, config, {}, {storage});
    const auto shares = load_weights(folder, config, {}, {storage},
                                     {{.placement = "shard"}, group, /*own_passes=*/true, {}});
    const at::NoGradGuard no_gradients;
    for (int round = 0; round < 3; ++round) {
      for (int pass = 0; pass < 2 * ((group.rank() + round) % 3); ++pass) {
        require(at::equal(shares->embedding(), whole->embedding()), "embedding");
        for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer)
          require(same(shares->block(layer), whole->block(layer)), "block");
        for (int piece = 0; piece < pass; ++piece)  // of the scored tokens: none, one, several
          require(at::equal(shares->lm_head(), whole->lm_head()), "lm_head");
      }
      shares->leave();
    }
  }));
}

TEST_CASE("weights read from the files each time are those of a base held whole") {
  const std::string model = GENERATE("llama3", "llama2", "mistral");
  const std::string storage = GENERATE("dtype", "fp8", "nf4");
  CAPTURE(model, storage);
  const std::string folder = kFolder + model;
  const LlamaConfig config = read_llama_config(folder);
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const Runtime runtime{dtype, at::kCPU};
    const auto whole = load_weights(folder, config, runtime, {storage});
    const auto read =
        load_weights(folder, config, runtime, {storage}, {{.placement = "offload"}, {}});
    CHECK_NOTHROW(require_equal_passes(*read, *whole, config.num_hidden_layers));
    CHECK_FALSE(read->lasting());
  }
}

TEST_CASE("groups of two of four ranks hold a copy each") {
  const std::string storage = GENERATE("dtype", "nf4"), folder = kFolder + "llama3";
  const LlamaConfig config = read_llama_config(folder);
  std::atomic<std::int64_t> held = 0;
  const Runtime runtime;
  check_none(run_ranks(4, [&](ProcessGroup& group) {
    const auto whole = load_weights(folder, config, runtime, {storage});
    const auto shares = load_weights(folder, config, runtime, {storage},
                                     {{.placement = "hybrid", .hybrid = {2}}, group});
    require_equal_passes(*shares, *whole, config.num_hidden_layers);
    held += dynamic_cast<ShardedWeights&>(*shares).share_bytes();
    // The default is a machine's ranks: here all.
    const auto shared =
        load_weights(folder, config, runtime, {storage}, {{.placement = "hybrid"}, group});
    held -= 2 * dynamic_cast<ShardedWeights&>(*shared).share_bytes();
  }));
  CHECK(std::abs(held) < 4 * 64 * 2 * (config.num_hidden_layers + 2));
}

TEST_CASE("groups that do not divide the ranks are refused") {
  const LlamaConfig config = read_llama_config(kFolder + "llama3");
  for (const std::string& failure : run_ranks(2, [&](ProcessGroup& group) {
         load_weights(kFolder + "llama3", config, {}, {},
                      {{.placement = "hybrid", .hybrid = {3}}, group});
       }))
    CHECK_THAT(failure, Catch::Contains("--hybrid.group 3 must divide the 2 processes"));
}

TEST_CASE("any order of blocks gives the right weights") {
  const std::string folder = kFolder + "llama3", storage = GENERATE("dtype", "nf4");
  const LlamaConfig config = read_llama_config(folder);
  const bool offload = GENERATE(false, true);
  check_none(run_ranks(2, [&](ProcessGroup& group) {
    const auto whole = load_weights(folder, config, {}, {storage});
    ShardedWeights shares({folder, {storage}, offload ? ProcessGroup() : group, offload}, config,
                          {});
    for (const std::int64_t layer : {2, 0, 0, 1, 2, 2, 0, 2, 1, 0})
      require(same(shares.block(layer), whole->block(layer)), "block");
  }));
}

namespace {

// A checkpoint like the golden one but with `layers` blocks of random weights.
LlamaConfig write_deep_model(const std::string& folder, std::int64_t layers) {
  auto json = nlohmann::json::parse(read_file(kFolder + "llama3/config.json"));
  json["num_hidden_layers"] = layers;
  write_file_atomic(folder + "/config.json", json.dump());
  const LlamaConfig config = read_llama_config(folder);
  ResidentWeights weights(config, Runtime{}, 1);
  write_safetensors(folder + "/model.safetensors", weights.named());
  return config;
}

std::int64_t projections_of(const LlamaConfig& config) {
  std::int64_t weights = 0;
  for (const Projection p : kProjections) {
    const auto [out, in] = shape_of(config, p);
    weights += out * in;
  }
  return weights;
}

// Forward and backward over one token, so that activations weigh nothing beside weights.
void train_a_token(const Llama& llama) {
  LoraConfig lora;
  lora.rank = 1;
  lora.targets = {"q_proj"};
  Adapter adapter = Adapter::fresh(llama.config(), lora, 1);
  for (const NamedTensor& named : adapter.named()) named.tensor.set_requires_grad(true);
  const at::Tensor hidden =
      llama.hidden(at::ones({1}, at::kLong), {.offsets = {0, 1}, .past = {}, .slots = {}},
                   {.adapter = &adapter});
  const at::Tensor head = llama.weights().lm_head();
  (hidden * head[0].clone()).sum().backward();
  for (const NamedTensor& named : adapter.named())
    require(named.tensor.grad().defined(), named.name);
}

// What a model's parts take in bytes.
struct Sizes {
  std::int64_t block, table, dequantized;
  std::int64_t unit() const { return std::max(block, table); }
  std::int64_t whole(std::int64_t layers) const { return layers * block + 2 * table; }
};

Sizes sizes_of(const LlamaConfig& config, const std::string& storage) {
  const std::int64_t weights = projections_of(config), norms = 2 * config.hidden_size * 4;
  const double width = storage == "dtype" ? 4 : storage == "fp8" ? 1.05 : 0.53;
  return {norms + static_cast<std::int64_t>(width * static_cast<double>(weights)),
          config.vocab_size * config.hidden_size * 4, storage == "dtype" ? 0 : weights * 4};
}

}  // namespace

TEST_CASE("loading and training, a rank holds its share of the weights and two units") {
  constexpr std::int64_t kRanks = 4, kLayers = 16;
  const std::string storage = GENERATE("dtype", "fp8", "nf4");
  CAPTURE(storage);
  const TempFolder folder;
  const LlamaConfig config = write_deep_model(folder.path(), kLayers);
  const Sizes sizes = sizes_of(config, storage);
  const std::int64_t share = sizes.whole(kLayers) / kRanks + (kLayers + 2) * 512;
  const std::int64_t buffers = 2 * (sizes.unit() + 512) + sizes.dequantized;
  std::atomic<std::int64_t> loaded_peak = 0;
  const TensorMemory memory;
  check_none(run_ranks(kRanks, [&](ProcessGroup& group) {
    const ShardedBase base{folder.path(), {storage}, group};
    const auto shares = std::make_shared<ShardedWeights>(base, config, Runtime{});
    require(shares->share_bytes() <= share, "share");
    require(shares->buffer_bytes() <= buffers, "buffers");
    group.barrier();
    if (group.rank() == 0) loaded_peak = memory.peak();
    group.barrier();
    train_a_token(Llama(config, shares, Runtime{}));
    group.barrier();
  }));
  const std::int64_t allowed = kRanks * (share + buffers);
  CHECK(memory.peak() > allowed * 8 / 10);
  CHECK(memory.peak() < allowed * 11 / 10);
  CHECK(memory.peak() - allowed < kRanks * sizes.unit());
  // While it loads, beyond that less than one projection in few bits.
  CHECK(loaded_peak < allowed + kRanks * sizes.block);
  // Far less than what ranks hold that have everything (a block in few bits weighs less here than
  // the tables and its dequantised values).
  if (storage == "dtype") CHECK(memory.peak() < kRanks * sizes.whole(kLayers) * 6 / 10);
}

TEST_CASE("making passes of its own, a rank holds its share of the weights and two units") {
  constexpr std::int64_t kRanks = 4, kLayers = 16;
  const std::string storage = GENERATE("dtype", "nf4");
  CAPTURE(storage);
  const TempFolder folder;
  const LlamaConfig config = write_deep_model(folder.path(), kLayers);
  const Sizes sizes = sizes_of(config, storage);
  const std::int64_t share = sizes.whole(kLayers) / kRanks + (kLayers + 2) * 512;
  const std::int64_t allowed = kRanks * (share + 2 * (sizes.unit() + 512) + sizes.dequantized);
  const TensorMemory memory;
  check_none(run_ranks(kRanks, [&](ProcessGroup& group) {
    const at::NoGradGuard no_gradients;
    const Placement placement{{.placement = "shard"}, group, /*own_passes=*/true, {}};
    const Llama llama(config, load_weights(folder.path(), config, {}, {storage}, placement), {});
    for (int pass = 0; pass < group.rank(); ++pass)
      llama.logits(llama.hidden(at::ones({1}, at::kLong), {{0, 1}, {}, {}}));
    llama.weights().leave();
    group.barrier();
  }));
  CHECK(memory.peak() > allowed * 8 / 10);
  CHECK(memory.peak() < allowed * 11 / 10);
}

TEST_CASE("a base that stays in its files takes two units of memory, loading and training") {
  constexpr std::int64_t kLayers = 16;
  const TempFolder folder;
  const LlamaConfig config = write_deep_model(folder.path(), kLayers);
  const Sizes sizes = sizes_of(config, "dtype");
  const TensorMemory memory;
  const auto weights =
      std::make_shared<ShardedWeights>(ShardedBase{folder.path(), {}, {}, true}, config, Runtime{});
  CHECK(weights->share_bytes() == 0);
  CHECK(memory.peak() <= 2 * (sizes.unit() + 512) + config.hidden_size * 4);
  train_a_token(Llama(config, weights, Runtime{}));
  CHECK(memory.peak() > 2 * sizes.unit());
  CHECK(memory.peak() < 5 * sizes.unit() / 2);
  CHECK(memory.peak() < sizes.whole(kLayers) / 4);
}

namespace {

// A checkpoint of 24 blocks of 122 MB in bf16. Its file is sparse: zeros, but for the first weight
// of each block's q_proj, which is the block's number and 1.
LlamaConfig write_large_model(const std::string& folder) {
  auto json = nlohmann::json::parse(read_file(kFolder + "llama3/config.json"));
  json.update({{"num_hidden_layers", 24},
               {"hidden_size", 2048},
               {"intermediate_size", 8192},
               {"num_attention_heads", 32},
               {"num_key_value_heads", 8},
               {"head_dim", 64},
               {"torch_dtype", "bfloat16"}});
  write_file_atomic(folder + "/config.json", json.dump());
  const LlamaConfig config = read_llama_config(folder);
  nlohmann::json header;
  std::uint64_t size = 0;
  const auto add = [&](const std::string& name, const std::vector<std::int64_t>& shape) {
    const std::uint64_t begin = size;
    size += 2 * static_cast<std::uint64_t>(c10::multiply_integers(shape));
    header[name] = {{"dtype", "BF16"}, {"shape", shape}, {"data_offsets", {begin, size}}};
    return begin;
  };
  std::vector<std::uint64_t> marks;
  add(checkpoint_names::kEmbedding, {config.vocab_size, config.hidden_size});
  for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    add(checkpoint_names::input_norm(layer), {config.hidden_size});
    add(checkpoint_names::post_attention_norm(layer), {config.hidden_size});
    for (const Projection p : kProjections) {
      const auto [out, in] = shape_of(config, p);
      const std::uint64_t begin = add(checkpoint_names::projection(layer, p), {out, in});
      if (p == Projection::kQ) marks.push_back(begin);
    }
  }
  add(checkpoint_names::kFinalNorm, {config.hidden_size});
  add(checkpoint_names::kLmHead, {config.vocab_size, config.hidden_size});
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  const std::uint64_t length = text.size();
  const std::string path = folder + "/model.safetensors";
  std::fstream file(path, std::ios::out | std::ios::binary);
  file.write(reinterpret_cast<const char*>(&length), 8);
  file << text;
  for (std::size_t layer = 0; layer < marks.size(); ++layer) {
    const auto mark = c10::BFloat16(static_cast<float>(layer + 1)).x;
    file.seekp(static_cast<std::streamoff>(8 + length + marks[layer]));
    file.write(reinterpret_cast<const char*>(&mark), 2);
  }
  file.close();
  std::filesystem::resize_file(path, 8 + length + size);
  return config;
}

// The most resident memory of this process, mapped files and all, while it lives.
class ResidentPeak {
 public:
  ResidentPeak() : start_(now()), watcher_([this] { watch(); }) {}
  ~ResidentPeak() {
    done_ = true;
    watcher_.join();
  }
  std::int64_t bytes() const { return peak_ - start_; }

 private:
  static std::int64_t now() {
    std::int64_t all = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> all >> resident;
    return resident * ::sysconf(_SC_PAGESIZE);
  }
  void watch() {
    while (!done_) {
      peak_ = std::max(peak_.load(), now());
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  std::int64_t start_;
  std::atomic<std::int64_t> peak_ = 0;
  std::atomic<bool> done_ = false;
  std::thread watcher_;
};

}  // namespace

TEST_CASE("a checkpoint of 3 GB loads into four ranks, which hold their shares and no block more") {
  const TempFolder folder;
  const LlamaConfig config = write_large_model(folder.path());
  constexpr std::int64_t kRanks = 4;
  const std::int64_t block = 2 * (projections_of(config) + 2 * config.hidden_size);
  const auto size =
      static_cast<std::int64_t>(std::filesystem::file_size(folder / "model.safetensors"));
  CHECK(size > 2'900'000'000);
  std::atomic<std::int64_t> loaded = 0;
  const ResidentPeak resident;
  check_none(run_ranks(kRanks, [&](ProcessGroup& group) {
    const Runtime runtime{at::kBFloat16, at::kCPU};
    const auto weights =
        load_weights(folder.path(), config, runtime, {}, {{.placement = "shard"}, group});
    group.barrier();
    if (group.rank() == 0) loaded = resident.bytes();
    const auto& shares = dynamic_cast<ShardedWeights&>(*weights);
    require(shares.share_bytes() < size / kRanks + 1'000'000, "share");
    group.barrier();
    for (const std::int64_t layer : {std::int64_t{0}, config.num_hidden_layers - 1})
      require(weights->block(layer)[Projection::kQ][0][0].item<double>() ==
                  static_cast<double>(layer + 1),
              "block");
    group.barrier();
  }));
  // While loading: the shares and, of each rank, less than two blocks; here less than one.
  CHECK(loaded > size * 9 / 10);
  CHECK(loaded < size + kRanks * block);
  // Two units to gather blocks into are all that comes.
  CHECK(resident.bytes() < size + kRanks * 3 * block);
}

TEST_CASE("a damaged checkpoint is refused by every rank of a sharded load") {
  const TempFolder folder;
  const LlamaConfig config = write_deep_model(folder.path(), 2);
  LlamaConfig deeper = config;
  deeper.num_hidden_layers = 3;
  const auto failures = run_ranks(2, [&](ProcessGroup& group) {
    ShardedWeights(ShardedBase{folder.path(), {}, group}, deeper, Runtime{});
  });
  for (const std::string& failure : failures)
    CHECK_THAT(failure, Catch::Contains("model.layers.2.input_layernorm.weight"));
}
