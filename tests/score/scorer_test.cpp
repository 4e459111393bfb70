#include "reflect/score/scorer.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>
#include <c10/core/InferenceMode.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "reflect/base/error.h"
#include "reflect/base/random.h"

namespace reflect {
namespace {

const std::string kModel = REFLECT_SOURCE_DIR "/tests/golden/model/llama3";

const Llama& model() {
  static const std::unique_ptr<Llama> loaded = load_llama(kModel, Runtime{});
  return *loaded;
}

std::vector<std::int32_t> random_ids(Random& random, std::int64_t count) {
  std::vector<std::int32_t> ids;
  for (std::int64_t i = 0; i < count; ++i)
    ids.push_back(static_cast<std::int32_t>(random.below(300)));
  return ids;
}

Pass random_pass(Random& random, std::int64_t context, std::int64_t target) {
  Pass pass;
  pass.context_ids = random_ids(random, context);
  pass.target_ids = random_ids(random, target);
  return pass;
}

std::vector<Pass> random_passes(int count) {
  Random random(7, "scorer-test");
  std::vector<Pass> passes;
  for (int i = 0; i < count; ++i)
    passes.push_back(random_pass(random, random.between(1, 60), random.between(1, 60)));
  return passes;
}

// One pass by itself: all logits, log-softmax in double.
std::vector<double> naive_log_probs(const Llama& llama, const Pass& pass) {
  const c10::InferenceMode no_gradients;
  std::vector<std::int64_t> ids(pass.context_ids.begin(), pass.context_ids.end());
  ids.insert(ids.end(), pass.target_ids.begin(), pass.target_ids.end());
  const auto length = static_cast<std::int64_t>(ids.size());
  const at::Tensor hidden =
      llama.hidden(at::tensor(ids, at::kLong), {.offsets = {0, length}, .past = {}, .slots = {}});
  const at::Tensor all = at::log_softmax(llama.logits(hidden).to(at::kDouble), -1);
  std::vector<double> result;
  for (auto i = static_cast<std::int64_t>(pass.context_ids.size()); i < length; ++i)
    result.push_back(all[i - 1][ids[static_cast<std::size_t>(i)]].item<double>());
  return result;
}

double largest_difference(const std::vector<PassScore>& a, const std::vector<PassScore>& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    for (std::size_t j = 0; j < a[i].log_probs.size(); ++j)
      largest = std::max<double>(largest, std::abs(a[i].log_probs[j] - b[i].log_probs.at(j)));
  return largest;
}

}  // namespace

TEST_CASE("packed passes score like each pass alone with all its logits") {
  const std::vector<Pass> passes = random_passes(20);
  const std::vector<PassScore> scores = Scorer(model(), ScorerConfig{}).score(passes);
  for (std::size_t i = 0; i < passes.size(); ++i) {
    REQUIRE(scores[i].status == ScoreStatus::kOk);
    const std::vector<double> expected = naive_log_probs(model(), passes[i]);
    REQUIRE(scores[i].log_probs.size() == expected.size());
    double sum = 0;
    for (std::size_t j = 0; j < expected.size(); ++j) {
      CHECK(scores[i].log_probs[j] == Approx(expected[j]).margin(1e-5));
      sum -= expected[j];
    }
    CHECK(scores[i].mean_nll() == Approx(sum / static_cast<double>(expected.size())).margin(1e-5));
  }
}

TEST_CASE("scores do not depend on the batch or on the order of the passes") {
  const std::vector<Pass> passes = random_passes(40);
  const auto with_budget = [](std::int64_t tokens) {
    return Scorer(model(), {.max_batch_tokens = tokens});
  };
  const std::vector<PassScore> alone = with_budget(1).score(passes);
  for (const std::int64_t tokens : {50, 333, 2048, 100000})
    CHECK(largest_difference(alone, with_budget(tokens).score(passes)) <= 1e-5);
  std::vector<PassScore> reversed =
      with_budget(333).score(std::vector<Pass>(passes.rbegin(), passes.rend()));
  std::reverse(reversed.begin(), reversed.end());
  CHECK(largest_difference(alone, reversed) <= 1e-5);
}

TEST_CASE("the same passes give the same bits") {
  const std::vector<Pass> passes = random_passes(40);
  const Scorer scorer(model(), {.max_batch_tokens = 300});
  CHECK(largest_difference(scorer.score(passes), scorer.score(passes)) == 0);
}

TEST_CASE("targets of more rows than one chunk of logits") {
  Random random(8, "scorer-test");
  const Pass pass = random_pass(random, 1, 500);
  const std::vector<PassScore> scores = Scorer(model(), ScorerConfig{}).score({pass});
  const std::vector<double> expected = naive_log_probs(model(), pass);
  REQUIRE(scores[0].log_probs.size() == 500);
  for (std::size_t j = 0; j < 500; ++j)
    REQUIRE(scores[0].log_probs[j] == Approx(expected[j]).margin(1e-5));
}

TEST_CASE("what cannot be scored has a status and no numbers") {
  Random random(9, "scorer-test");
  const std::int64_t window = model().config().max_position_embeddings;
  const std::vector<Pass> passes = {
      random_pass(random, 5, 0),          random_pass(random, window, 0),
      random_pass(random, window - 4, 5), random_pass(random, window - 4, 4),
      random_pass(random, 0, 5),          random_pass(random, 3, 3),
  };
  const std::vector<PassScore> scores = Scorer(model(), ScorerConfig{}).score(passes);
  CHECK(scores[0].status == ScoreStatus::kEmpty);
  CHECK(scores[1].status == ScoreStatus::kTooLong);
  CHECK(scores[2].status == ScoreStatus::kTooLong);
  CHECK(scores[3].status == ScoreStatus::kOk);
  CHECK(scores[4].status == ScoreStatus::kEmpty);
  CHECK(scores[5].status == ScoreStatus::kOk);
  for (const std::size_t i : {0, 1, 2, 4}) CHECK(scores[i].log_probs.empty());
  const Scorer shorter(model(), {.max_batch_tokens = 2048, .max_length = 5});
  CHECK(shorter.score({passes[5]})[0].status == ScoreStatus::kTooLong);
  CHECK(Scorer(model(), ScorerConfig{}).score({}).empty());
}

TEST_CASE("a pass that is not finite fails alone") {
  const std::unique_ptr<Llama> damaged = load_llama(kModel, Runtime{});
  damaged->weights().embedding()[299].fill_(std::numeric_limits<float>::quiet_NaN());
  std::vector<Pass> passes = random_passes(8);
  for (Pass& pass : passes)
    for (std::int32_t& id : pass.context_ids) id %= 299;
  for (Pass& pass : passes)
    for (std::int32_t& id : pass.target_ids) id %= 299;
  const std::vector<PassScore> sound = Scorer(*damaged, ScorerConfig{}).score(passes);
  passes[3].context_ids[0] = 299;
  const std::vector<PassScore> scores = Scorer(*damaged, ScorerConfig{}).score(passes);
  for (std::size_t i = 0; i < passes.size(); ++i)
    CHECK(scores[i].status == (i == 3 ? ScoreStatus::kNonFinite : ScoreStatus::kOk));
  CHECK(scores[3].log_probs.empty());
  CHECK(largest_difference({sound.begin() + 4, sound.end()}, {scores.begin() + 4, scores.end()}) ==
        0);
}

TEST_CASE("a token budget or length that means nothing is refused") {
  CHECK_THROWS_AS(Scorer(model(), {.max_batch_tokens = 0}), Error);
  CHECK_THROWS_AS(Scorer(model(), {.max_batch_tokens = 10, .max_length = -1}), Error);
}

}  // namespace reflect
