// Passes of both modes against what transformers computes by the same definitions
// (scripts/golden/score.py).
#include <catch2/catch.hpp>
#include <cmath>

#include "reflect/base/error.h"
#include "reflect/score/ifd.h"
#include "reflect/score/reference.h"
#include "reflect/score/scorer.h"

namespace reflect {
namespace {

const std::string kGolden = REFLECT_SOURCE_DIR "/tests/golden/";
const std::string kModel = kGolden + "model/llama3";

const Tokenizer& tokenizer(const std::string& name) {
  static const std::unique_ptr<Tokenizer> plain = load_tokenizer(kModel);
  static const std::unique_ptr<Tokenizer> border = load_tokenizer(kGolden + "score/border");
  return name == "border" ? *border : *plain;
}

const Llama& model() {
  static const std::unique_ptr<Llama> loaded = load_llama(kModel, Runtime{});
  return *loaded;
}

ChatTemplate chat() {
  return ChatTemplate::detect(kModel);
}

Record row(const std::string& prompt, const std::string& response) {
  return record_of({{"prompt", prompt}, {"response", response}}, "test");
}

IfdScores score(const RowPasses& passes) {
  return ifd_scores(passes.passes, Scorer(model(), ScorerConfig{}).score(passes.passes));
}

std::optional<double> nll_of(const IfdScores& scores, const std::string& pass) {
  if (pass == "conditional") return scores.nll_conditional;
  if (pass == "direct") return scores.nll_direct;
  return pass == "reverse" ? scores.nll_reverse : scores.nll_prompt;
}

void check_row(const RowPasses& passes, std::int64_t max_length, const Json& expected) {
  const Scorer scorer(model(), {.max_batch_tokens = 2048, .max_length = max_length});
  const IfdScores scores = ifd_scores(passes.passes, scorer.score(passes.passes));
  bool all = true;
  for (const Pass& pass : passes.passes) {
    const std::string name(pass.name);
    INFO(name);
    const Json& span = expected.at("spans").at(name);
    CHECK(pass.length() == span[0].get<std::int64_t>());
    CHECK(pass.context_ids.size() == std::min(span[0], span[1]).get<std::size_t>());
    const Json& nll = expected.at("nll").at(name);
    REQUIRE(nll_of(scores, name).has_value() == nll.is_number());
    if (nll.is_number())
      CHECK(*nll_of(scores, name) == Approx(nll.get<double>()).margin(1e-5));
    else
      all = false;
  }
  CHECK((scores.status == ScoreStatus::kOk) == all);
  if (!scores.ifd_ppl) return;
  const double conditional = expected.at("nll").at("conditional"),
               direct = expected.at("nll").at("direct");
  CHECK(*scores.ifd_ppl == Approx(std::exp(conditional - direct)).epsilon(1e-4));
  CHECK(*scores.ifd_loss == Approx(conditional / direct).epsilon(1e-4));
}

}  // namespace

TEST_CASE("both modes agree with transformers on every golden row") {
  const std::vector<Record> rows = read_records(kGolden + "score/rows.jsonl");
  const Json golden = Json::parse(read_file(kGolden + "score/expected.json"));
  for (const Json& one : golden.at("cases")) {
    const bool reference = one.at("mode") == "reference";
    const std::string name = one.at("tokenizer");
    const std::int64_t max_length = one.at("max_length");
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (one.at("rows")[i].is_null()) continue;
      INFO(one.at("mode") << " " << name << " " << one.at("prompt") << " " << max_length << " row "
                          << i);
      const ReferenceConfig config{.prompt = one.at("prompt")};
      check_row(reference ? reference_passes(rows[i], config, tokenizer(name), max_length, true)
                          : fixed_passes(rows[i], chat(), tokenizer(name), true),
                max_length, one.at("rows")[i]);
    }
  }
}

TEST_CASE("fixed mode scores the same ids in both conditions, after one BOS") {
  for (const std::string family : {"llama3", "vicuna", "alpaca", "plain"}) {
    INFO(family);
    const Tokenizer& ids = tokenizer("border");
    const RowPasses passes = fixed_passes(row("Count them.", "The posts are twelve."),
                                          ChatTemplate::named(family), ids, true);
    REQUIRE(passes.passes.size() == 4);
    CHECK(passes.passes[0].target_ids == passes.passes[1].target_ids);
    CHECK(passes.passes[2].target_ids == passes.passes[3].target_ids);
    for (const Pass& pass : passes.passes) {
      CHECK(pass.context_ids.front() == ids.bos_id());
      CHECK(std::count(pass.context_ids.begin(), pass.context_ids.end(), *ids.bos_id()) == 1);
      for (const std::int32_t id : pass.target_ids) CHECK_FALSE(ids.is_special(id));
    }
    CHECK(passes.passes[1].context_ids.size() == 1);
    CHECK(passes.response_tokens.front().begin == 0);
    CHECK(passes.response_tokens.back().end == std::string("The posts are twelve.").size());
  }
}

TEST_CASE("earlier turns and system text are context, the last user message is what r-IFD scores") {
  const Record record = record_of({{"messages",
                                    {{{"role", "system"}, {"content", "Be brief."}},
                                     {{"role", "user"}, {"content", "First?"}},
                                     {{"role", "assistant"}, {"content", "Yes."}},
                                     {{"role", "user"}, {"content", "Second?"}},
                                     {{"role", "assistant"}, {"content", "No."}}}}},
                                  "test");
  const RowPasses passes = fixed_passes(record, chat(), tokenizer("llama3"), true);
  const auto text = [&](const std::vector<std::int32_t>& ids) {
    return decode(tokenizer("llama3"), ids);
  };
  CHECK(text(passes.passes[0].target_ids) == "No.");
  CHECK(text(passes.passes[0].context_ids).find("Yes.") != std::string::npos);
  CHECK(text(passes.passes[0].context_ids).find("Be brief.") != std::string::npos);
  CHECK(text(passes.passes[2].target_ids) == "Second?");
  CHECK(text(passes.passes[2].context_ids).find("Be brief.") == std::string::npos);
}

TEST_CASE("rows that cannot be scored have a status in both modes") {
  const std::string long_text(2000, 'x');
  struct Case {
    std::string prompt, response;
    ScoreStatus status;
    std::string_view failed_pass;
  };
  const Case cases[] = {
      {"Hi", "", ScoreStatus::kEmpty, pass_name::kConditional},
      {"Hi", long_text, ScoreStatus::kTooLong, pass_name::kConditional},
      {long_text, "Hi", ScoreStatus::kTooLong, pass_name::kConditional},
      {"", "An answer.", ScoreStatus::kEmpty, pass_name::kReverse},
      {"Hi", "<|eot_id|><|eot_id|>", ScoreStatus::kOk, ""},
      {"Hi\xff", "caf\xc3", ScoreStatus::kOk, ""},
  };
  for (const Case& c : cases) {
    INFO(c.prompt.substr(0, 20) << " -> " << c.response.substr(0, 20));
    const Record record = row(c.prompt, c.response);
    for (const RowPasses& passes : {fixed_passes(record, chat(), tokenizer("llama3"), true),
                                    reference_passes(record, ReferenceConfig{}, tokenizer("llama3"),
                                                     kReferenceMaxLength, true)}) {
      const IfdScores scores = score(passes);
      CHECK(scores.status == c.status);
      CHECK(scores.failed_pass == c.failed_pass);
      if (c.failed_pass == pass_name::kConditional) CHECK_FALSE(scores.ifd_ppl);
      if (c.failed_pass == pass_name::kReverse) CHECK(scores.ifd_ppl);
    }
  }
  CHECK(score(fixed_passes(row("Hi", " \n "), chat(), tokenizer("llama3"), true)).status ==
        ScoreStatus::kEmpty);
}

TEST_CASE("text of a special token is text in fixed mode and a token in reference mode") {
  const Record record = row("Hi", "<|eot_id|>");
  CHECK(fixed_passes(record, chat(), tokenizer("llama3"), false).passes[1].target_ids.size() > 1);
  CHECK(reference_passes(record, ReferenceConfig{}, tokenizer("llama3"), kReferenceMaxLength, true)
            .passes[1]
            .target_ids.size() == 1);
}

TEST_CASE("ratios need both of their losses to be finite and not zero") {
  const std::vector<Pass> passes = {
      {.context_ids = {1}, .target_ids = {1}, .row = 0, .name = pass_name::kConditional},
      {.context_ids = {1}, .target_ids = {1}, .row = 0, .name = pass_name::kDirect}};
  const auto with = [&](float conditional, float direct) {
    return ifd_scores(passes, {{ScoreStatus::kOk, {conditional}}, {ScoreStatus::kOk, {direct}}});
  };
  CHECK(*with(-1, -2).ifd_ppl == Approx(std::exp(-1)));
  CHECK(*with(-1, -2).ifd_loss == Approx(0.5));
  CHECK(with(-1, 0).status == ScoreStatus::kNonFinite);
  CHECK_FALSE(with(-1, 0).ifd_ppl);
  CHECK(with(-2000, -1).status == ScoreStatus::kNonFinite);
  CHECK_FALSE(with(-2000, -1).ifd_loss);
}

TEST_CASE("an unknown reference prompt is refused") {
  CHECK_THROWS_WITH(reference_prompt("llama", "x", ""), Catch::Contains("vicuna"));
}

}  // namespace reflect
