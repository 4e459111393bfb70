// A base in few bits: what it gives, how much memory it takes while it is loaded and used.
#include "model/quantized_weights.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <c10/core/InferenceMode.h>

#include <catch2/catch.hpp>

#include "reflect/model/base_storage.h"
#include "reflect/model/llama.h"
#include "tensor_memory.h"

using namespace reflect;

namespace {

const std::string kModel = REFLECT_SOURCE_DIR "/tests/golden/model/llama3";
const Runtime kRuntime{at::kFloat, at::kCPU};

at::Tensor golden_ids() {
  return SafetensorsFile(kModel + "/expected.safetensors").view("ids").reshape({-1}).clone();
}

std::int64_t block_bytes(const LlamaConfig& config, std::int64_t bytes_a_weight) {
  std::int64_t weights = 0;
  for (const Projection p : kProjections) {
    const auto [out, in] = shape_of(config, p);
    weights += out * in;
  }
  return weights * bytes_a_weight;
}

}  // namespace

TEST_CASE("each block is what its codec makes of the checkpoint") {
  const WeightCodec codec = GENERATE(WeightCodec::kFp8, WeightCodec::kNf4);
  const LlamaConfig config = read_llama_config(kModel);
  QuantizedWeights weights(kModel, config, kRuntime, codec);
  StreamedWeights checkpoint(kModel, config, kRuntime);
  for (const std::int64_t layer : {0, 1, 2, 2, 1, 0, 2}) {
    const BlockWeights block = weights.block(layer);
    CHECK(at::equal(block.input_norm, checkpoint.block(layer).input_norm));
    for (const Projection p : kProjections) {
      at::Tensor expected = at::empty_like(block[p]);
      const at::Tensor stored = checkpoint.stored_projection(layer, p);
      if (codec == WeightCodec::kFp8) fp8::dequantize(fp8::quantize(stored), expected);
      if (codec == WeightCodec::kNf4) nf4::dequantize(nf4::quantize(stored), expected);
      CHECK(at::equal(block[p], expected));
    }
  }
  CHECK(at::equal(weights.embedding(), checkpoint.embedding()));
  CHECK(at::equal(weights.lm_head(), checkpoint.lm_head()));
}

TEST_CASE("a block stays valid until the block after next is asked for") {
  QuantizedWeights weights(kModel, read_llama_config(kModel), kRuntime, WeightCodec::kNf4);
  const at::Tensor first = weights.block(0)[Projection::kQ];
  const at::Tensor copy = first.clone();
  weights.block(1);
  CHECK(at::equal(first, copy));
  weights.block(0);
  weights.block(2);  // into the room of block 1
  CHECK(at::equal(first, copy));
  weights.block(1);
  CHECK_FALSE(at::equal(first, copy));
}

TEST_CASE("loading holds what is kept and less than two blocks besides, and using adds none") {
  const WeightCodec codec = GENERATE(WeightCodec::kFp8, WeightCodec::kNf4);
  const LlamaConfig config = read_llama_config(kModel);
  const TensorMemory memory;
  QuantizedWeights weights(kModel, config, kRuntime, codec);
  const std::int64_t kept = memory.bytes();
  CHECK(kept == Approx(weights.bytes()).epsilon(0.02));
  // The two buffers, which are part of what is kept, are made last.
  CHECK(memory.peak() <= kept);
  const std::int64_t stored = kept - 2 * block_bytes(config, 4);
  const double share = codec == WeightCodec::kFp8 ? 0.27 : 0.14;
  const std::int64_t others = weights.embedding().nbytes() + weights.lm_head().nbytes();
  CHECK(static_cast<double>(stored - others) <
        share * static_cast<double>(block_bytes(config, 4) * config.num_hidden_layers) + 4096);
  for (const std::int64_t layer : {0, 1, 2, 1, 0}) weights.block(layer);
  CHECK(memory.peak() <= kept);
}

// The golden model has random weights, which no rounding averages out: its logits move far more
// than those of a trained one.
TEST_CASE(
    "logits of a quantised base stay close to those of the whole one, closer with more bits") {
  const c10::InferenceMode guard;
  const at::Tensor ids = golden_ids();
  const PackedRows rows{{0, 48, 96}, {}, {}};
  const auto logits = [&](const BaseConfig& base) {
    const auto model = load_llama(kModel, kRuntime, base);
    return model->logits(model->hidden(ids, rows));
  };
  const at::Tensor whole = logits({});
  const auto difference = [&](const BaseConfig& base) {
    return ((whole - logits(base)).norm() / whole.norm()).item<double>();
  };
  const double fp8 = difference({"fp8"}), nf4 = difference({"nf4"});
  CAPTURE(fp8, nf4);
  CHECK(fp8 > 1e-4);
  CHECK(fp8 < 0.25);
  CHECK(nf4 > 2 * fp8);
  CHECK(nf4 < 0.75);
}

TEST_CASE("gradients through a quantised base equal those through its values held whole") {
  const LlamaConfig config = read_llama_config(kModel);
  const auto quantized =
      std::make_shared<QuantizedWeights>(kModel, config, kRuntime, WeightCodec::kNf4);
  const auto resident = std::make_shared<ResidentWeights>(kModel, config, kRuntime);
  for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer)
    for (const Projection p : kProjections)
      resident->block(layer)[p].copy_(quantized->block(layer)[p]);
  Adapter adapter = read_adapter(kModel + "/adapter", config);
  for (const NamedTensor& t : adapter.named()) t.tensor.set_requires_grad(true);
  const auto gradients = [&](const std::shared_ptr<WeightSource>& weights) {
    const Llama model(config, weights, kRuntime);
    model.hidden(golden_ids(), {{0, 48, 96}, {}, {}}, {&adapter}).pow(2).mean().backward();
    std::vector<at::Tensor> all;
    for (const NamedTensor& t : adapter.named()) {
      all.push_back(t.tensor.grad());
      t.tensor.mutable_grad() = at::Tensor();
    }
    return all;
  };
  const auto ours = gradients(quantized), expected = gradients(resident);
  for (std::size_t i = 0; i < expected.size(); ++i) CHECK(at::equal(ours[i], expected[i]));
}
