// The engine on the small golden model: parity with transformers, independence of the batch, and
// the ways in which a row ends.
#include "reflect/generate/engine.h"

#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>
#include <c10/core/InferenceMode.h>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <set>

#include "reflect/base/error.h"
#include "reflect/base/file.h"

namespace reflect {
namespace {

const std::string kModel = REFLECT_SOURCE_DIR "/tests/golden/model/llama3";

struct Fixture {
  std::unique_ptr<Llama> model = load_llama(kModel, Runtime{});
  std::unique_ptr<Tokenizer> tokenizer = load_tokenizer(kModel);
  Adapter adapter = read_adapter(kModel + "/adapter", model->config());

  std::vector<Completion> generate(const std::vector<GenerateRequest>& requests,
                                   EngineConfig config = {}, bool adapted = false) const {
    return Engine(*model, *tokenizer, config, adapted ? &adapter : nullptr).generate(requests);
  }

  // Log-probabilities [T, vocab] of a whole sequence in one pass without a cache.
  at::Tensor log_probs(const std::vector<std::int32_t>& ids, bool adapted = false) const {
    const c10::InferenceMode guard;
    const std::vector<std::int64_t> wide(ids.begin(), ids.end());
    PackedRows rows;
    rows.offsets = {0, static_cast<std::int64_t>(ids.size())};
    ForwardOptions options;
    if (adapted) options.adapter = &adapter;
    return at::log_softmax(model->logits(model->hidden(at::tensor(wide), rows, options)), 1);
  }
};

GenerateRequest request(std::vector<std::int32_t> prompt_ids, std::int64_t max_new_tokens = 40) {
  GenerateRequest request;
  request.prompt_ids = std::move(prompt_ids);
  request.sampling.max_new_tokens = max_new_tokens;
  return request;
}

// Prompts of different lengths, sampled, each with its own seed.
std::vector<GenerateRequest> sampled_requests() {
  std::vector<GenerateRequest> requests;
  for (std::int32_t i = 0; i < 20; ++i) {
    std::vector<std::int32_t> prompt = {315};
    for (std::int32_t t = 0; t < (i * 7) % 23; ++t) prompt.push_back((i * 31 + t * 13) % 300);
    requests.push_back(request(std::move(prompt), 10 + i % 4 * 9));
    requests.back().seed = static_cast<std::uint64_t>(i % 10);
    requests.back().end_ids = {316, 319};
    requests.back().sampling.temperature = 0.8;
    requests.back().sampling.top_p = 0.9;
    requests.back().sampling.repetition_penalty = i % 2 == 0 ? 1.0 : 1.2;
  }
  return requests;
}

TEST_CASE("greedy tokens equal transformers' in every batch size") {
  const Fixture fixture;
  const auto rows =
      nlohmann::json::parse(read_file(REFLECT_SOURCE_DIR "/tests/golden/generate/greedy.json"))
          .at("rows");
  std::vector<GenerateRequest> requests;
  for (const auto& row : rows) {
    requests.push_back(request(row.at("prompt_ids"), row.at("max_new_tokens")));
    requests.back().sampling.repetition_penalty = row.at("repetition_penalty");
    requests.back().end_ids = fixture.model->config().eos_token_ids;
  }
  for (const std::int64_t batch : {1, 3, 16}) {
    for (const std::int64_t prefill : {8, 4096}) {
      EngineConfig config;
      config.max_batch_rows = batch;
      config.max_prefill_tokens = prefill;
      const auto got = fixture.generate(requests, config);
      for (std::size_t i = 0; i < rows.size(); ++i) {
        INFO("batch " << batch << ", prefill " << prefill << ", row " << i);
        auto expected = rows[i].at("new_ids").get<std::vector<std::int32_t>>();
        const bool ended = expected.back() == 316 || expected.back() == 319;
        if (ended) expected.pop_back();
        CHECK(got[i].ids == expected);
        CHECK(got[i].finish == (ended ? FinishReason::kEnd : FinishReason::kLength));
        CHECK(got[i].text == decode(*fixture.tokenizer, got[i].ids));
      }
    }
  }
}

TEST_CASE("sampled text depends on prompt and seed, not on the batch") {
  const Fixture fixture;
  const auto requests = sampled_requests();
  const auto reference = fixture.generate(requests, {.max_batch_rows = 1});
  for (const std::int64_t batch : {3, 16}) {
    const auto got =
        fixture.generate(requests, {.max_batch_rows = batch, .max_prefill_tokens = 30});
    for (std::size_t i = 0; i < requests.size(); ++i) {
      INFO("batch " << batch << ", row " << i);
      CHECK(got[i].ids == reference[i].ids);
      CHECK(got[i].finish == reference[i].finish);
      CHECK(got[i].log_probability == Approx(reference[i].log_probability).margin(1e-3));
    }
  }
  std::vector<GenerateRequest> draws(8, requests[4]);
  for (std::size_t i = 0; i < draws.size(); ++i) draws[i].seed = i;
  std::set<std::string> texts;
  for (const Completion& draw : fixture.generate(draws)) texts.insert(draw.text);
  CHECK(texts.size() > 4);
}

TEST_CASE("tokens and log-probability equal a full pass without a cache") {
  const Fixture fixture;
  for (const bool adapted : {false, true}) {
    const GenerateRequest asked = request({315, 5, 80, 7, 9}, 30);
    const Completion got = fixture.generate({asked}, {}, adapted).front();
    REQUIRE(got.ids.size() == 30);
    std::vector<std::int32_t> sequence = asked.prompt_ids;
    sequence.insert(sequence.end(), got.ids.begin(), got.ids.end());
    const at::Tensor log_probs = fixture.log_probs(sequence, adapted);
    double sum = 0;
    for (std::size_t i = 0; i < got.ids.size(); ++i) {
      const at::Tensor row = log_probs[static_cast<std::int64_t>(asked.prompt_ids.size() + i) - 1];
      CHECK(row.argmax().item<std::int64_t>() == got.ids[i]);
      sum += row[got.ids[i]].item<double>();
    }
    CHECK(got.log_probability == Approx(sum).margin(1e-3));
  }
  const auto base = fixture.generate({request({315, 5, 80, 7, 9}, 30)});
  const auto tuned = fixture.generate({request({315, 5, 80, 7, 9}, 30)}, {}, true);
  CHECK(base.front().ids != tuned.front().ids);
}

// A string of the text that begins in one token and ends in a later one, and the index of the token
// that it begins in. Only ASCII, so that tokens and text have the same bytes.
std::pair<std::string, std::size_t> string_across_tokens(const Fixture& fixture,
                                                         const std::vector<std::int32_t>& ids) {
  const auto is_ascii = [](std::string_view bytes) {
    return std::all_of(bytes.begin(), bytes.end(), [](char c) { return c >= ' ' && c <= '~'; });
  };
  for (std::size_t i = 3; i + 1 < ids.size(); ++i) {
    const std::string first(fixture.tokenizer->bytes_of(ids[i]));
    const std::string second(fixture.tokenizer->bytes_of(ids[i + 1]));
    if (fixture.tokenizer->is_special(ids[i]) || fixture.tokenizer->is_special(ids[i + 1]))
      continue;
    const std::string joined = first.substr(first.size() - 1) + second;
    const std::string text = decode(*fixture.tokenizer, ids);
    const auto before = decode(*fixture.tokenizer, std::span(ids).first(i));
    if (is_ascii(first) && is_ascii(second) &&
        text.find(joined) == before.size() + first.size() - 1) {
      return {joined, i};
    }
  }
  FAIL("no suitable string in the text");
  return {};
}

TEST_CASE("a stop string ends the text before it, also across tokens") {
  const Fixture fixture;
  const std::vector<std::int32_t> prompt = {315, 3, 14, 15, 92};
  const Completion whole = fixture.generate({request(prompt, 200)}).front();
  const auto [stop, token] = string_across_tokens(fixture, whole.ids);
  GenerateRequest asked = request(prompt, 200);
  asked.sampling.stop = {"never there", stop};
  const Completion cut = fixture.generate({asked}).front();
  CHECK(cut.finish == FinishReason::kStop);
  CHECK(cut.text == whole.text.substr(0, whole.text.find(stop)));
  CHECK(cut.ids == std::vector(whole.ids.begin(), whole.ids.begin() + token + 2));
}

TEST_CASE("a banned string is never begun, whatever tokens would write it") {
  const Fixture fixture;
  const std::vector<std::int32_t> prompt = {315, 3, 14, 15, 92};
  const Completion whole = fixture.generate({request(prompt, 60)}).front();
  const auto [banned, token] = string_across_tokens(fixture, whole.ids);
  GenerateRequest asked = request(prompt, 60);
  asked.banned_text = {banned};
  const Completion got = fixture.generate({asked}).front();
  CHECK(got.text.find(banned) == std::string::npos);
  CHECK(got.ids.size() == 60);
  const auto same = std::mismatch(got.ids.begin(), got.ids.end(), whole.ids.begin()).first;
  CHECK(static_cast<std::size_t>(same - got.ids.begin()) == token);

  // What stands instead is the second choice of a full pass at that place.
  std::vector<std::int32_t> sequence = prompt;
  sequence.insert(sequence.end(), whole.ids.begin(), whole.ids.begin() + token);
  const at::Tensor last = fixture.log_probs(sequence)[-1];
  CHECK(std::get<1>(last.topk(2))[1].item<std::int64_t>() == got.ids[token]);
  double sum = 0;
  sequence = prompt;
  sequence.insert(sequence.end(), got.ids.begin(), got.ids.end());
  const at::Tensor log_probs = fixture.log_probs(sequence);
  for (std::size_t i = 0; i < got.ids.size(); ++i) {
    sum += log_probs[static_cast<std::int64_t>(prompt.size() + i) - 1][got.ids[i]].item<double>();
  }
  CHECK(got.log_probability == Approx(sum).margin(1e-3));
}

TEST_CASE("a ban inside one token takes the next choice at the same place") {
  const Fixture fixture;
  const std::vector<std::int32_t> prompt = {315, 40, 41};
  const Completion whole = fixture.generate({request(prompt, 30)}).front();
  GenerateRequest asked = request(prompt, 30);
  for (char c = '!'; c <= '~'; ++c) asked.banned_text.emplace_back(1, c);
  const Completion got = fixture.generate({asked}).front();
  CHECK(got.ids.size() == 30);
  CHECK(whole.text.find_first_of(fmt::format("{}", fmt::join(asked.banned_text, ""))) !=
        std::string::npos);
  CHECK(got.text.find_first_of(fmt::format("{}", fmt::join(asked.banned_text, ""))) ==
        std::string::npos);
}

TEST_CASE("the window bounds prompt and continuation") {
  const Fixture fixture;
  const std::int64_t window = fixture.model->config().max_position_embeddings;
  const auto prompt_of = [](std::int64_t tokens) {
    std::vector<std::int32_t> ids(tokens, 20);
    ids.front() = 315;
    return ids;
  };
  const auto got = fixture.generate({request(prompt_of(window)), request(prompt_of(window - 5)),
                                     request(prompt_of(window + 9)), request({315, 2}, 3)});
  CHECK(got[0].finish == FinishReason::kPromptTooLong);
  CHECK(got[0].ids.empty());
  CHECK(got[1].finish == FinishReason::kLength);
  CHECK(got[1].ids.size() == 5);
  CHECK(got[2].finish == FinishReason::kPromptTooLong);
  CHECK(got[3].ids.size() == 3);
}

TEST_CASE("finished rows are reported once, while others go on") {
  const Fixture fixture;
  auto requests = sampled_requests();
  requests.push_back(request(std::vector<std::int32_t>(600, 1)));
  std::vector<Completion> reported(requests.size());
  std::vector<std::size_t> order;
  const Engine engine(*fixture.model, *fixture.tokenizer, {.max_batch_rows = 4});
  const auto got = engine.generate(requests, [&](std::size_t i, const Completion& completion) {
    order.push_back(i);
    reported[i] = completion;
  });
  CHECK(order.size() == requests.size());
  CHECK(std::set(order.begin(), order.end()).size() == requests.size());
  for (std::size_t i = 0; i < got.size(); ++i) CHECK(reported[i].ids == got[i].ids);
  CHECK(engine.generate({}).empty());
}

TEST_CASE("requests and settings that make no sense are errors") {
  const Fixture fixture;
  CHECK_THROWS_WITH(fixture.generate({request({315}), request({})}),
                    Catch::Contains("request 1 has no prompt ids"));
  GenerateRequest bans_nothing = request({315});
  bans_nothing.banned_text = {""};
  CHECK_THROWS_WITH(fixture.generate({bans_nothing}), Catch::Contains("bans the empty string"));
  GenerateRequest hot = request({315});
  hot.sampling.temperature = -2;
  CHECK_THROWS_WITH(fixture.generate({hot}), Catch::Contains("temperature is -2"));
  CHECK_THROWS_WITH(fixture.generate({request({315})}, {.max_batch_rows = 0}),
                    Catch::Contains("max_batch_rows is 0"));
}

}  // namespace
}  // namespace reflect
