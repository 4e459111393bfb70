// NF4 against bitsandbytes: every code, absmax and value; cut tensors and both ways to dequantise.
#include "model/nf4.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>

#include <catch2/catch.hpp>

#include "reflect/model/safetensors.h"

using namespace reflect;

namespace {

const SafetensorsFile& golden() {
  static const SafetensorsFile file(REFLECT_SOURCE_DIR "/tests/golden/quant/quant.safetensors");
  return file;
}

at::Tensor dequantized(const nf4::Quantized& q, at::ScalarType dtype) {
  at::Tensor out = at::empty({q.size}, dtype);
  nf4::dequantize(q, out);
  return out;
}

}  // namespace

TEST_CASE("the absmax map of NF4 equals that of bitsandbytes") {
  const at::Tensor expected = golden().view("absmax_values");
  const float* values = expected.const_data_ptr<float>();
  for (std::size_t i = 0; i < 256; ++i) {
    CAPTURE(i);
    CHECK(nf4::absmax_values()[i] == values[i]);
  }
}

TEST_CASE("NF4 codes, absmax and values equal those of bitsandbytes") {
  const std::string name = GENERATE("normal", "half", "heavy", "ragged", "uneven");
  CAPTURE(name);
  const auto expected = [&](const std::string& key) {
    return golden().view("nf4." + name + "." + key);
  };
  const nf4::Quantized own = nf4::quantize(expected("weights"));
  CHECK(at::equal(own.codes, expected("codes")));
  CHECK(at::equal(own.absmax, expected("absmax")));
  // torch adds fp32 numbers in an order that depends on the processor: its mean may be the next
  // number. All else is compared with torch's mean.
  const auto mean = expected("absmax_mean").item<float>();
  CHECK(own.absmax_mean == Approx(mean).epsilon(1.3e-7));
  const nf4::Quantized q = nf4::quantize(expected("weights"), mean);
  CHECK(at::equal(q.codes, expected("codes")));
  CHECK(at::equal(q.absmax, expected("absmax")));
  CHECK(at::equal(q.absmax_scale, expected("absmax_scale")));
  const at::Tensor values = expected("values").reshape({-1});
  CHECK(at::equal(dequantized(q, at::kFloat), values));
  CHECK(at::equal(dequantized(q, at::kBFloat16), values.to(at::kBFloat16)));
}

TEST_CASE("the parts of a tensor hold the NF4 codes of the whole") {
  const std::int64_t size = 3 * nf4::kCut + 200;
  const at::Tensor weights = at::randn({size}) * 0.02;
  const nf4::Quantized whole = nf4::quantize(weights);
  const at::Tensor parts[] = {weights.narrow(0, 0, 2 * nf4::kCut),
                              weights.narrow(0, 2 * nf4::kCut, size - 2 * nf4::kCut)};
  std::vector<double> sums;
  for (const at::Tensor& part : parts)
    for (const double sum : nf4::absmax_sums(part)) sums.push_back(sum);
  const float mean = nf4::mean_absmax(sums, size);
  CHECK(mean == whole.absmax_mean);
  std::int64_t byte = 0, block = 0, group = 0;
  const auto next = [](const at::Tensor& of, std::int64_t& begin, const at::Tensor& part) {
    begin += part.numel();
    return at::equal(of.narrow(0, begin - part.numel(), part.numel()), part);
  };
  for (const at::Tensor& part : parts) {
    const nf4::Quantized q = nf4::quantize(part, mean);
    CHECK(next(whole.codes, byte, q.codes));
    CHECK(next(whole.absmax, block, q.absmax));
    CHECK(next(whole.absmax_scale, group, q.absmax_scale));
  }
  CHECK(byte == whole.codes.numel());
}

TEST_CASE("a slice of NF4 rows or columns has the codes and the values of the whole") {
  constexpr std::int64_t kOut = 96, kIn = 512;  // three groups of absmax
  const nf4::Quantized whole = nf4::quantize(at::randn({kOut, kIn}) * 0.02);
  const at::Tensor values = dequantized(whole, at::kFloat).view({kOut, kIn});
  const at::Tensor codes = whole.codes.view({kOut, kIn / 2});
  const at::Tensor absmax = whole.absmax.view({kOut, kIn / nf4::kBlock});
  for (const std::int64_t count : {2, 4})
    for (std::int64_t index = 0; index < count; ++index) {
      CAPTURE(count, index);
      const auto slice_of = [&](const at::Tensor& of, int dimension) {
        const std::int64_t size = of.size(dimension) / count;
        return of.narrow(dimension, index * size, size).reshape({-1});
      };
      const nf4::Quantized rows = nf4::columns(whole, 1, index, count);
      CHECK(at::equal(rows.codes, slice_of(codes, 0)));
      CHECK(at::equal(rows.absmax, slice_of(absmax, 0)));
      CHECK(at::equal(dequantized(rows, at::kFloat), slice_of(values, 0)));
      const nf4::Quantized columns = nf4::columns(whole, kOut, index, count);
      CHECK(at::equal(columns.codes, slice_of(codes, 1)));
      CHECK(at::equal(columns.absmax, slice_of(absmax, 1)));
      CHECK(at::equal(dequantized(columns, at::kFloat), slice_of(values, 1)));
      CHECK(columns.bytes() < whole.bytes() / count + 4 * whole.absmax_scale.numel());
    }
  CHECK_THROWS_WITH(nf4::columns(whole, kOut, 0, 16), Catch::Contains("parts of whole blocks"));
}

TEST_CASE("NF4 takes a little over four bits a weight") {
  const nf4::Quantized q = nf4::quantize(at::randn({4 * nf4::kCut}));
  CHECK(static_cast<double>(q.bytes()) * 8 / static_cast<double>(q.size) ==
        Approx(4 + 8.0 / 64 + 32.0 / 64 / 256));
}
