#include "reflect/score/spans.h"

#include <catch2/catch.hpp>

namespace reflect {
namespace {

// One token a byte, its id the byte.
struct ByteRow {
  explicit ByteRow(const TraceBuilder& trace) : text(trace.text()), spans(trace.spans()) {
    conditional.context_ids = {1, 2, 3};
    for (std::uint32_t i = 0; i < text.size(); ++i) {
      const std::int32_t id = static_cast<unsigned char>(text[i]);
      tokens.push_back({id, i, i + 1});
      conditional.target_ids.push_back(id);
    }
  }
  GainInput input(const std::string& other = "") const {
    return {text, spans, tokens, conditional, {other.begin(), other.end()}};
  }
  std::string text;
  std::vector<Span> spans;
  std::vector<Token> tokens;
  Pass conditional;
};

ByteRow two_rounds() {
  TraceBuilder trace;
  trace.error("one.", 1, Proof::kExecuted);
  trace.reflection("No, xy.", 1);
  trace.correction("xyz.", 1);
  trace.thinking(" Then");
  trace.error("two.", 2, Proof::kExecuted);
  trace.reflection("Hm.", 2);
  trace.correction("abc.", 2);
  trace.output("3");
  return ByteRow(trace);
}

std::string text_of(const std::vector<std::int32_t>& ids) {
  std::string text;
  for (const std::int32_t id : ids) text.push_back(static_cast<char>(id));
  return text;
}

PassScore score(std::size_t count, float log_prob) {
  return {.status = ScoreStatus::kOk, .log_probs = std::vector<float>(count, log_prob)};
}

}  // namespace

TEST_CASE("the pass without a reflection leaves out its text and tags, nothing else") {
  const ByteRow row = two_rounds();
  const std::vector<GainPass> gains = gain_passes(row.input());
  REQUIRE(gains.size() == 2);
  for (const GainPass& gain : gains) {
    const std::size_t correction = row.text.find(gain.round == 1 ? "xyz." : "abc.");
    const std::string reflection =
        gain.round == 1 ? "<reflection>No, xy.</reflection>" : "<reflection>Hm.</reflection>";
    std::string before = row.text.substr(0, correction);
    REQUIRE(before.rfind(reflection) != before.npos);
    before.erase(before.rfind(reflection), reflection.size());
    CHECK(text_of(gain.without.target_ids).starts_with(gain.round == 1 ? "xyz." : "abc."));
    CHECK(text_of(gain.without.context_ids) == "\x01\x02\x03" + before);
    CHECK(gain.correction_begin == correction);
    CHECK(gain.without.name == kWithoutReflection);
  }
  CHECK(gains[0].novel[0] == false);  // x and y stand in the reflection
  CHECK(gains[0].novel[1] == false);
  CHECK(gains[0].novel[2] == true);
}

TEST_CASE("span gain is the loss that the reflection saves") {
  const ByteRow row = two_rounds();
  const GainPass gain = gain_passes(row.input())[0];
  PassScore with = score(row.tokens.size(), -9);
  const PassScore without = score(gain.without.target_ids.size(), -2);
  for (std::size_t i = 0; i < without.log_probs.size(); ++i)
    with.log_probs[gain.correction_begin + i] = -0.5;
  with.log_probs[gain.correction_begin + 2] = -1;  // "z", a novel token
  const SpanGain result = span_gain(gain, {with, without, nullptr});
  const auto tokens = static_cast<double>(without.log_probs.size());
  CHECK(result.tokens == static_cast<std::int64_t>(without.log_probs.size()));
  CHECK(result.nll_without == Approx(2));
  CHECK(result.nll_with == Approx(0.5 + 0.5 / tokens));
  CHECK(result.gain == Approx(result.nll_without - result.nll_with));
  REQUIRE(result.novel_gain);
  CHECK(*result.novel_gain < 1.5);
}

TEST_CASE("another row's reflection stands where the row's own stood") {
  const ByteRow row = two_rounds();
  CHECK_FALSE(gain_passes(row.input())[0].other);
  const std::string other = "<reflection>Else.</reflection>";
  for (const GainPass& gain : gain_passes(row.input(other))) {
    REQUIRE(gain.other);
    CHECK(gain.other->target_ids == gain.without.target_ids);
    std::string before = row.text.substr(0, gain.correction_begin);
    const std::size_t begin = before.rfind("<reflection>"),
                      end = before.rfind("</reflection>") + 13;
    before.replace(begin, end - begin, other);
    CHECK(text_of(gain.other->context_ids) == "\x01\x02\x03" + before);
  }
  const GainPass gain = gain_passes(row.input(other))[0];
  const std::size_t tokens = gain.without.target_ids.size();
  const PassScore with = score(row.tokens.size(), -1), without = score(tokens, -3),
                  with_other = score(tokens, -2.5), failed{ScoreStatus::kTooLong, {}};
  const SpanGain result = span_gain(gain, {with, without, &with_other});
  CHECK(result.gain == Approx(2));
  REQUIRE(result.other_gain);
  CHECK(*result.other_gain == Approx(0.5));
  CHECK(*result.nll_other == Approx(2.5));
  CHECK_FALSE(span_gain(gain, {with, without, &failed}).other_gain);
}

TEST_CASE("a row borrows the reflection of the nearest earlier row of another prompt") {
  ReflectionDonor donor;
  const auto row = [](const std::string& prompt, const std::string& reflection) {
    Record record;
    record.messages = {{"user", prompt}};
    TraceBuilder trace;
    trace.thinking("x.");
    if (!reflection.empty()) trace.reflection(reflection, 1);
    trace.output("y");
    record.response = trace.text();
    record.spans = trace.spans();
    return record;
  };
  CHECK(donor.for_row(row("a", "A")).empty());
  donor.add(row("a", "A1"));
  donor.add(row("a", "A2"));
  CHECK(donor.for_row(row("a", "A3")).empty());
  CHECK(donor.for_row(row("b", "B")) == "<reflection>A2</reflection>");
  donor.add(row("c", ""));
  donor.add(row("b", "B1"));
  donor.add(row("b", "B2"));
  CHECK(donor.for_row(row("b", "B3")) == "<reflection>A2</reflection>");
  CHECK(donor.for_row(row("a", "A3")) == "<reflection>B2</reflection>");
}

TEST_CASE("a reflection without a correction has no gain") {
  TraceBuilder trace;
  trace.thinking("Fine.");
  trace.reflection("Sure?", 1);
  trace.thinking("Yes.");
  trace.output("3");
  const ByteRow row(trace);
  CHECK(gain_passes(row.input()).empty());
}

TEST_CASE("mean NLL by span type covers every token once") {
  const ByteRow row = two_rounds();
  PassScore conditional = score(row.tokens.size(), -1);
  const std::size_t error = row.text.find("one.");
  for (std::size_t i = 0; i < 4; ++i) conditional.log_probs[error + i] = -3;
  std::int64_t tokens = 0;
  double sum = 0;
  for (const SpanNll& span : span_nlls(row.spans, row.tokens, conditional.log_probs)) {
    tokens += span.tokens;
    sum += span.nll * static_cast<double>(span.tokens);
    if (span.type == SpanType::kOutput) CHECK(span.nll == Approx(1));
    if (span.type == SpanType::kError) CHECK(span.nll > 1);
  }
  CHECK(tokens == static_cast<std::int64_t>(row.tokens.size()));
  CHECK(sum == Approx(static_cast<double>(row.tokens.size()) + 8));
}

}  // namespace reflect
