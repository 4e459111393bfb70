// FP8 against torch and against a search for the nearest value.
#include "model/fp8.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <c10/util/Float8_e4m3fn.h>

#include <catch2/catch.hpp>
#include <cmath>

#include "reflect/model/safetensors.h"

using namespace reflect;

namespace {

const SafetensorsFile& golden() {
  static const SafetensorsFile file(REFLECT_SOURCE_DIR "/tests/golden/quant/quant.safetensors");
  return file;
}

// Value of a code by the definition: sign, 4 exponent bits of bias 7, 3 fraction bits.
double value_of(int code) {
  const int exponent = code >> 3 & 15, fraction = code & 7;
  const double magnitude =
      exponent == 0 ? std::ldexp(fraction, -9) : std::ldexp(8 + fraction, exponent - 10);
  return code & 128 ? -magnitude : magnitude;
}

// The positive code nearest to x in [0, 448], the even one of two.
int nearest_code(double x) {
  int best = 0;
  for (int code = 1; code < 127; ++code) {
    const double gain = std::abs(value_of(best) - x) - std::abs(value_of(code) - x);
    if (gain > 0 || (gain == 0 && code % 2 == 0)) best = code;
  }
  return best;
}

}  // namespace

TEST_CASE("FP8 codes, scales and values equal those of torch") {
  const fp8::Quantized q = fp8::quantize(golden().view("fp8.weights"));
  CHECK(at::equal(q.codes.view(at::kByte), golden().view("fp8.codes")));
  CHECK(at::equal(q.scale, golden().view("fp8.scale")));
  const at::Tensor expected = golden().view("fp8.values");
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    at::Tensor values = at::empty(expected.sizes(), dtype);
    fp8::dequantize(q, values);
    CHECK(at::equal(values, expected.to(dtype)));
  }
}

TEST_CASE("FP8 rounds to the nearest value of the format, ties to even") {
  const at::Tensor weights = golden().view("fp8.weights");
  const fp8::Quantized q = fp8::quantize(weights);
  const at::Tensor codes = q.codes.view(at::kByte);
  for (std::int64_t row = 0; row < weights.size(0); ++row) {
    const auto scale = q.scale[row].item<float>();
    for (std::int64_t i = 0; i < weights.size(1); ++i) {
      const auto weight = weights[row][i].item<float>();
      CAPTURE(row, i, weight, scale);
      const int code = codes[row][i].item<std::uint8_t>();
      const int expected = nearest_code(std::abs(weight / scale));
      REQUIRE((code & 127) == expected);
      if (expected != 0) REQUIRE((code & 128) == (weight < 0 ? 128 : 0));
    }
  }
}
