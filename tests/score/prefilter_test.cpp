#include "score/prefilter.h"

#include <catch2/catch.hpp>

#include "reflect/base/error.h"

namespace reflect {
namespace {

PrefilterScore with_ifd(double ppl, double loss = 0.5) {
  return {.status = ScoreStatus::kOk,
          .ifd_ppl = ppl,
          .ifd_loss = loss,
          .nll_conditional = 1,
          .nll_direct = 2};
}

const std::vector<PrefilterScore> kScores = {
    with_ifd(0.5, 0.1), with_ifd(0.9, 0.2), {.status = ScoreStatus::kTooLong},
    with_ifd(1.0, 0.3), with_ifd(0.9, 0.4), with_ifd(0.2, 0.95)};

PrefilterConfig keeping(double share, double max_ifd = 1, const std::string& ratio = "ppl") {
  PrefilterConfig config;
  config.keep = share;
  config.max_ifd = max_ifd;
  config.ratio = ratio;
  return config;
}

std::string passed(const PrefilterConfig& config) {
  const Prefilter prefilter(config, kScores);
  std::string text;
  for (std::size_t row = 0; row < kScores.size(); ++row)
    text += prefilter.verdict(row).status == ScoreStatus::kOk ? 'x' : '.';
  CHECK(static_cast<std::ptrdiff_t>(prefilter.passed()) ==
        std::count(text.begin(), text.end(), 'x'));
  return text;
}

}  // namespace

TEST_CASE("a prefilter passes the share of highest IFD, ties by order") {
  CHECK(passed(keeping(0.17)) == ".x....");
  CHECK(passed(keeping(0.34)) == ".x..x.");
  CHECK(passed(keeping(0.5)) == "xx..x.");
  CHECK(passed(keeping(1)) == "xx..xx");  // neither the failed row nor IFD >= 1
  CHECK(passed(keeping(0.17, 0)) == "...x..");
  CHECK(passed(keeping(0.34, 1, "loss")) == "....xx");
}

TEST_CASE("a verdict says why and has numbers where there are some") {
  const Prefilter prefilter(keeping(0.34), kScores, {{"model", "small"}});
  const PrefilterVerdict held = prefilter.verdict(0), failed = prefilter.verdict(2);
  CHECK(held.status == ScoreStatus::kPrefiltered);
  CHECK(held.scores.at("status") == "ok");
  CHECK(held.scores.at("ifd_ppl") == 0.5);
  CHECK(failed.status == ScoreStatus::kTooLong);
  CHECK(failed.scores.at("status") == "too_long");
  CHECK(failed.scores.at("ifd_ppl").is_null());
  CHECK_THROWS_WITH(prefilter.verdict(6), Catch::Contains("more rows"));
  const Json meta = prefilter.meta();
  CHECK(meta.at("model") == "small");
  CHECK(meta.at("rows") == 6);
  CHECK(meta.at("passed") == 2);
  CHECK(meta.at("failed") == 1);
  CHECK(meta.at("max_ifd_or_more") == 1);
}

}  // namespace reflect
