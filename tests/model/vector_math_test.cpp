#include "model/vector_math.h"

#include <catch2/catch.hpp>
#include <cmath>

using namespace reflect;

TEST_CASE("vector_exp is as exact as fp32 allows") {
  double worst = 0;
  for (int i = -86000; i <= 87900; ++i) {
    const float x = static_cast<float>(i) * 1e-3f;
    const double exact = std::exp(static_cast<double>(x));
    worst = std::max(worst, std::abs(vector_exp(x) - exact) / exact);
  }
  CHECK(worst < 2.5e-7);
  CHECK(vector_exp(0.0f) == 1.0f);
  CHECK(vector_exp(-1e30f) < 1e-37f);
  CHECK(std::isfinite(vector_exp(1e30f)));
}
