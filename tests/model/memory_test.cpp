// A base's planned bytes are those that it takes.
#include "reflect/model/memory.h"

#include <catch2/catch.hpp>

#include "dist/ranks.h"
#include "model/quantized_weights.h"
#include "model/sharded_weights.h"

using namespace reflect;

namespace {

const std::string kModels = REFLECT_SOURCE_DIR "/tests/golden/model/";

}  // namespace

TEST_CASE("planned bytes of a base in shares are those that ranks hold") {
  const std::string name = GENERATE("llama3", "llama2", "mistral");
  const std::string storage = GENERATE("dtype", "fp8", "nf4");
  const bool offload = GENERATE(false, true);
  const int ranks = GENERATE(1, 2, 3);
  CAPTURE(name, storage, offload, ranks);
  const LlamaConfig config = read_llama_config(kModels + name);
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const BaseMemory planned = base_memory(
        config, {dtype, storage, offload ? "offload" : "shard", offload ? 1 : ranks, true});
    const std::int64_t norm = config.hidden_size * static_cast<std::int64_t>(elementSize(dtype));
    for (const std::string& failure : run_ranks(ranks, [&](ProcessGroup& group) {
           ShardedWeights weights(
               {kModels + name, {storage}, offload ? ProcessGroup() : group, offload}, config,
               {dtype, at::kCPU});
           require(weights.share_bytes() + norm == planned.weights, "share");
           require(weights.buffer_bytes() == planned.buffers, "buffers");
         }))
      CHECK(failure == "");
  }
}

TEST_CASE("planned bytes of a base in few bits are those that it takes") {
  const std::string name = GENERATE("llama3", "llama2", "mistral");
  const std::string storage = GENERATE("fp8", "nf4");
  CAPTURE(name, storage);
  const LlamaConfig config = read_llama_config(kModels + name);
  const QuantizedWeights weights(kModels + name, config, {at::kBFloat16, at::kCPU},
                                 *codec_of(storage));
  const BaseMemory planned = base_memory(config, {at::kBFloat16, storage, "replicate", 1, true});
  CHECK(planned.weights + planned.buffers == weights.bytes());
}
