// Codes of a base that are kept in a folder: the same as those made anew, and made anew where they
// are damaged or of another checkpoint.
#include "model/code_source.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <set>

#include "dist/ranks.h"
#include "model/quantized_weights.h"
#include "model/sharded_weights.h"
#include "temp_folder.h"

using namespace reflect;
namespace fs = std::filesystem;

namespace {

// A checkpoint that a test may change, and a folder for its codes.
class Cached {
 public:
  Cached() {
    fs::copy(REFLECT_SOURCE_DIR "/tests/golden/model/llama3", model, fs::copy_options::recursive);
    config = read_llama_config(model);
  }

  std::vector<std::string> files() const {
    std::set<std::string> found;
    if (fs::exists(cache))
      for (const auto& entry : fs::recursive_directory_iterator(cache))
        if (entry.is_regular_file()) found.insert(entry.path());
    return {found.begin(), found.end()};
  }

  BlockWeights block(const std::string& kept, WeightCodec codec, std::int64_t layer = 1) const {
    return QuantizedWeights(model, config, {}, codec, kept).block(layer);
  }

  const TempFolder folder;
  const std::string model = folder / "model", cache = folder / "cache";
  LlamaConfig config;
};

bool same(const BlockWeights& a, const BlockWeights& b) {
  return std::ranges::all_of(kProjections, [&](Projection p) { return at::equal(a[p], b[p]); });
}

void change_byte(const std::string& path, std::int64_t from_end) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(-from_end, std::ios::end);
  const int byte = file.get();
  file.seekp(-from_end, std::ios::end);
  file.put(static_cast<char>(byte ^ 0x11));
}

}  // namespace

TEST_CASE("kept codes give the blocks that codes made anew give, and are what is read") {
  const WeightCodec codec = GENERATE(WeightCodec::kFp8, WeightCodec::kNf4);
  const Cached base;
  const BlockWeights whole = base.block("", codec);
  CHECK(base.files().empty());
  CHECK(same(base.block(base.cache, codec), whole));
  const std::vector<std::string> files = base.files();
  REQUIRE(static_cast<std::int64_t>(files.size()) == base.config.num_hidden_layers);
  const auto written = fs::last_write_time(files[1]);
  CHECK(same(base.block(base.cache, codec), whole));
  CHECK(fs::last_write_time(files[1]) == written);
  change_byte(files[1], 1);  // a code
  CHECK_FALSE(same(base.block(base.cache, codec), whole));
}

TEST_CASE("a damaged file of codes is written anew") {
  const Cached base;
  const BlockWeights whole = base.block(base.cache, WeightCodec::kNf4);
  const std::string file = base.files().at(1);
  const auto damage = GENERATE(0, 1, 2);
  if (damage == 0) fs::resize_file(file, fs::file_size(file) - 1);
  if (damage == 1) fs::resize_file(file, 0);
  if (damage == 2) write_safetensors(file, {{"other", at::zeros({3})}});
  CHECK(same(base.block(base.cache, WeightCodec::kNf4), whole));
  CHECK(same(base.block(base.cache, WeightCodec::kNf4), whole));
  CHECK(base.files().size() == 3);
}

TEST_CASE("each checkpoint and each codec has codes of its own") {
  const Cached base;
  base.block(base.cache, WeightCodec::kNf4);
  base.block(base.cache, WeightCodec::kFp8);
  CHECK(base.files().size() == 6);
  const BlockWeights before = base.block(base.cache, WeightCodec::kNf4, 2);
  const std::string name = "model.layers.2.mlp.up_proj.weight";
  std::string weights;  // the file with that tensor
  for (const auto& entry : fs::directory_iterator(base.model))
    if (entry.path().filename().string().starts_with("model-0"))
      if (SafetensorsFile(entry.path()).contains(name)) weights = entry.path();
  REQUIRE_FALSE(weights.empty());
  const auto time = fs::last_write_time(weights);
  std::vector<NamedTensor> changed;
  {
    const SafetensorsFile stored(weights);
    for (const std::string& each : stored.names())
      changed.push_back({each, stored.view(each).clone()});
  }
  for (const NamedTensor& t : changed)
    if (t.name == name) t.tensor[0][0] += 1;
  write_safetensors(weights, changed);
  fs::last_write_time(weights, time);  // size and time tell nothing
  CHECK_FALSE(same(base.block(base.cache, WeightCodec::kNf4, 2), before));
  CHECK(same(base.block(base.cache, WeightCodec::kNf4, 2), base.block("", WeightCodec::kNf4, 2)));
  CHECK(base.files().size() == 9);
}

TEST_CASE("without a folder that can be written, codes are made as without a cache") {
  const Cached base;
  CHECK(same(base.block("/dev/full/codes", WeightCodec::kFp8), base.block("", WeightCodec::kFp8)));
}

TEST_CASE("ranks take their shares from kept codes") {
  const WeightCodec codec = GENERATE(WeightCodec::kFp8, WeightCodec::kNf4);
  const std::string storage = codec == WeightCodec::kFp8 ? "fp8" : "nf4";
  const Cached base;
  const BlockWeights whole = base.block(base.cache, codec);
  for (const int ranks : {2, 4})
    for (const std::string& failure : run_ranks(ranks, [&](ProcessGroup& group) {
           ShardedWeights shares({base.model, {storage, base.cache}, group}, base.config, {});
           require(same(shares.block(1), whole), "codes of a share");
         }))
      CHECK(failure == "");
  CHECK(base.files().size() == 3);
}
