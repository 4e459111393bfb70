// The filters against transformers' logits processors, and the draws against their distribution.
#include "generate/sampler.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "reflect/base/error.h"
#include "reflect/base/file.h"

namespace reflect {
namespace {

nlohmann::json golden() {
  return nlohmann::json::parse(
      read_file(REFLECT_SOURCE_DIR "/tests/golden/generate/sampling.json"));
}

SamplingConfig config_of(const nlohmann::json& setting) {
  SamplingConfig config;
  config.temperature = setting.value("temperature", 1.0);
  config.top_k = setting.value("top_k", 0);
  config.top_p = setting.value("top_p", 1.0);
  config.min_p = setting.value("min_p", 0.0);
  config.repetition_penalty = setting.value("repetition_penalty", 1.0);
  return config;
}

TEST_CASE("filters keep what transformers keeps, with its probabilities") {
  for (const auto& row : golden().at("rows")) {
    const auto logits = row.at("logits").get<std::vector<float>>();
    const auto seen = row.at("seen").get<std::vector<std::int32_t>>();
    for (const auto& expected : row.at("cases")) {
      INFO(expected.at("setting").dump());
      const SamplingConfig config = config_of(expected.at("setting"));
      std::vector<float> scores = logits;
      penalize_repetition(scores, seen, config.repetition_penalty);
      const Distribution got = distribution_of(scores, config);
      const auto kept = expected.at("kept").get<std::vector<std::int32_t>>();
      const auto probabilities = expected.at("probabilities").get<std::vector<double>>();
      REQUIRE(got.ids == kept);
      for (std::size_t i = 0; i < kept.size(); ++i) {
        REQUIRE(got.probabilities[i] == Approx(probabilities[i]).margin(1e-6));
      }
    }
  }
}

TEST_CASE("draws follow the distribution and depend on the key only") {
  const std::vector<float> logits = {0.0F, 1.0F, -1.0F, 2.0F};
  SamplingConfig config;
  config.temperature = 1;
  const Distribution distribution = distribution_of(logits, config);
  std::vector<int> counts(4);
  constexpr int kDraws = 20000;
  for (std::uint64_t i = 0; i < kDraws; ++i) ++counts[draw(distribution, Random(1, "test", {i}))];
  for (std::size_t id = 0; id < 4; ++id) {
    const double p = distribution.probabilities[id];
    const double deviation = std::sqrt(p * (1 - p) / kDraws);
    CHECK(std::abs(counts[id] / double(kDraws) - p) < 5 * deviation);
  }
  CHECK(draw(distribution, Random(3, "test", {9})) == draw(distribution, Random(3, "test", {9})));
}

TEST_CASE("tokens that tie with the last one kept are kept too") {
  const std::vector<float> logits = {1.0F, 3.0F, 1.0F, 0.0F};
  SamplingConfig config;
  config.temperature = 1;
  config.top_k = 2;
  CHECK(distribution_of(logits, config).ids == std::vector<std::int32_t>{0, 1, 2});
  config.top_k = 0;
  config.top_p = 0.8;  // the likeliest token has 0.757 of the mass
  CHECK(distribution_of(logits, config).ids == std::vector<std::int32_t>{0, 1, 2});
}

TEST_CASE("the likeliest token is the first of equal ones and must be finite") {
  const float infinity = std::numeric_limits<float>::infinity();
  CHECK(likeliest(std::vector<float>{1, 5, 5, 2}) == 1);
  CHECK(likeliest(std::vector<float>{-infinity, -3}) == 1);
  CHECK_THROWS_AS(likeliest(std::vector<float>{-infinity, -infinity}), Error);
  CHECK_THROWS_AS(likeliest(std::vector<float>{0, infinity}), Error);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_AS(likeliest(std::vector<float>{nan, nan}), Error);
}

TEST_CASE("a masked token is never drawn") {
  std::vector<float> logits(100, 0.0F);
  logits[42] = -std::numeric_limits<float>::infinity();
  SamplingConfig config;
  config.temperature = 1;
  const Distribution distribution = distribution_of(logits, config);
  CHECK(distribution.ids.size() == 99);
  CHECK(std::find(distribution.ids.begin(), distribution.ids.end(), 42) == distribution.ids.end());
}

TEST_CASE("settings outside their range are usage errors that name the field") {
  const auto rejected = [](auto change) {
    SamplingConfig config;
    change(config);
    try {
      validate(config);
    } catch (const Error& error) {
      CHECK(error.exit_code() == ExitCode::kUsage);
      return std::string(error.what());
    }
    return std::string();
  };
  using Config = SamplingConfig;
  CHECK(rejected([](Config&) {}).empty());
  CHECK_THAT(rejected([](Config& c) { c.temperature = -1; }), Catch::Contains("temperature is -1"));
  CHECK_THAT(rejected([](Config& c) { c.top_p = 0; }), Catch::Contains("top_p"));
  CHECK_THAT(rejected([](Config& c) { c.top_k = -2; }), Catch::Contains("top_k"));
  CHECK_THAT(rejected([](Config& c) { c.min_p = 1.5; }), Catch::Contains("min_p"));
  CHECK_THAT(rejected([](Config& c) { c.repetition_penalty = 0; }), Catch::Contains("repetition"));
  CHECK_THAT(rejected([](Config& c) { c.max_new_tokens = 0; }), Catch::Contains("max_new_tokens"));
  CHECK_THAT(rejected([](Config& c) { c.stop = {""}; }), Catch::Contains("stop"));
}

}  // namespace
}  // namespace reflect
