// The trace parser, the span check and the builder: fixed cases and properties over random traces.
#include "reflect/data/trace.h"

#include <catch2/catch.hpp>

#include "reflect/base/error.h"
#include "reflect/base/random.h"

namespace reflect {
namespace {

using Issue = TraceIssue;

constexpr const char* kPens =
    "<thinking>\n"
    "A pen costs 3, so 4 pens cost 3 * 4 = 7.\n"
    "<reflection>3 * 4 is 12, not 7.</reflection>\n"
    "So 4 pens cost 12.\n"
    "</thinking>\n"
    "<output>12</output>";

std::vector<std::string> problems_of(std::string_view text) {
  std::vector<std::string> found;
  for (const TraceProblem& problem : parse_trace(text).problems) {
    found.push_back(fmt::format("{}@{}", name_of(problem.issue), problem.offset));
  }
  return found;
}

using Found = std::vector<std::string>;

// The first reason why a result of the parser is not lawful, whatever the text was.
std::string unlawful(std::string_view text, const Trace& trace) {
  std::size_t at = 0;
  for (const Span& span : trace.spans) {
    if (span.begin != at || span.end <= span.begin) return "spans do not cover";
    at = span.end;
  }
  if (at != text.size()) return "spans do not reach the end";
  for (std::size_t i = 0; i < trace.problems.size(); ++i) {
    if (trace.problems[i].offset > text.size()) return "a problem is outside the text";
    if (i > 0 && trace.problems[i].offset < trace.problems[i - 1].offset) return "not sorted";
  }
  return "";
}

std::string random_text(Random& random) {
  static const std::vector<std::string> words = {"3 * 4 = 7.",  "\n",   " ",    "é",   "日本",
                                                 "👩‍💻", "< ",   ">",    "</ ", "<think",
                                                 "output>",     "&lt;", "\r\n", "x"};
  std::string text = "w";
  for (std::uint64_t n = random.below(6); n > 0; --n) text += words[random.below(words.size())];
  return text;
}

TraceBuilder random_trace(Random& random) {
  TraceBuilder builder;
  if (random.chance(0.7)) builder.thinking(random_text(random));
  const int rounds = static_cast<int>(random.below(4));
  for (int round = 1; round <= rounds; ++round) {
    const bool has_error = random.chance(0.7);
    if (has_error) builder.error(random_text(random), round, Proof::kExecuted);
    if (random.chance(0.3)) builder.thinking(random_text(random));
    builder.reflection(random_text(random), round);
    if (random.chance(0.7)) builder.correction(random_text(random), round);
    if (random.chance(0.5)) builder.thinking(random_text(random) + "\n");
  }
  builder.thinking(random_text(random));
  builder.output(random_text(random));
  return builder;
}

TEST_CASE("a trace gives its sections, its rounds and its output") {
  const Trace trace = parse_trace(kPens);
  REQUIRE(trace.ok());
  CHECK(trace.output == "12");
  CHECK(trace.reflections() == 1);
  std::vector<std::pair<SpanType, std::string>> parts;
  for (const Span& span : trace.spans) {
    parts.emplace_back(span.type, std::string(kPens).substr(span.begin, span.end - span.begin));
  }
  const std::vector<std::pair<SpanType, std::string>> expected = {
      {SpanType::kFormat, "<thinking>\n"},
      {SpanType::kThinking, "A pen costs 3, so 4 pens cost 3 * 4 = 7.\n"},
      {SpanType::kFormat, "<reflection>"},
      {SpanType::kReflection, "3 * 4 is 12, not 7."},
      {SpanType::kFormat, "</reflection>"},
      {SpanType::kThinking, "\nSo 4 pens cost 12."},
      {SpanType::kFormat, "\n</thinking>\n<output>"},
      {SpanType::kOutput, "12"},
      {SpanType::kFormat, "</output>"}};
  CHECK(parts == expected);
}

TEST_CASE("white space around the sections is format, other tags are text") {
  const Trace trace =
      parse_trace(" \n<thinking>a <b> </Thinking></thinking>\t<output> x </output>\n");
  CHECK(trace.ok());
  CHECK(trace.output == "x");
  CHECK(trace.spans.front() == Span{SpanType::kFormat, 0, 12});
}

TEST_CASE("every malformed form is reported with its byte") {
  CHECK(problems_of("") == Found{"no_thinking@0", "no_output@0"});
  CHECK(problems_of("12") == Found{"text_outside_tags@0", "no_thinking@0", "no_output@2"});
  CHECK(problems_of("<thinking>a") == Found{"unclosed_tag@0", "no_output@11"});
  CHECK(problems_of("<thinking>a</thinking>") == Found{"no_output@22"});
  CHECK(problems_of("<output>1</output>") == Found{"no_thinking@0"});
  CHECK(problems_of("<thinking>a</thinking> so <output>1</output>") ==
        Found{"text_outside_tags@23"});
  CHECK(problems_of("<thinking>a</thinking><output>1") == Found{"unclosed_tag@22"});
  CHECK(problems_of("<thinking> \n</thinking><output>1</output>") == Found{"empty_tag@0"});
  CHECK(problems_of("<thinking>a</thinking><output></output>") == Found{"empty_tag@22"});
  CHECK(problems_of("<thinking>a<reflection> </reflection></thinking><output>1</output>") ==
        Found{"empty_tag@11"});
  CHECK(problems_of("<output>1</output><thinking>a</thinking>") == Found{"wrong_nesting@18"});
  CHECK(problems_of("<thinking>a<output>1</output></thinking>") == Found{"wrong_nesting@11"});
  CHECK(problems_of("<thinking>a</thinking><reflection>b</reflection><output>1</output>") ==
        Found{"wrong_nesting@22"});
  CHECK(problems_of("<thinking>a<reflection>b<reflection>c</reflection></reflection></thinking>"
                    "<output>1</output>") == Found{"wrong_nesting@24"});
  CHECK(problems_of("<thinking>a<reflection>b</thinking><output>1</output>") ==
        Found{"unclosed_tag@11"});
  CHECK(problems_of("<thinking>a</reflection></thinking><output>1</output>") ==
        Found{"unopened_tag@11"});
  CHECK(problems_of("<thinking>a</thinking></thinking><output>1</output>") ==
        Found{"unopened_tag@22"});
  CHECK(problems_of("<thinking>a</thinking><thinking>b</thinking><output>1</output>") ==
        Found{"repeated_tag@22"});
  CHECK(problems_of("<thinking>a</thinking><output>1</output><output>2</output>") ==
        Found{"repeated_tag@40"});
}

TEST_CASE("a malformed trace still gives the output that it closed first") {
  CHECK(parse_trace("so <output>17</output>").output == "17");
  CHECK(parse_trace("<output>17").output.empty());
  CHECK(parse_trace("<output>1</output><output>2</output>").output == "1");
}

TEST_CASE("built traces parse back to their spans") {
  Random random(1, "trace test");
  for (int i = 0; i < 2000; ++i) {
    const TraceBuilder builder = random_trace(random);
    INFO(builder.text());
    const Trace trace = parse_trace(builder.text());
    REQUIRE(trace.ok());
    REQUIRE(check_spans(builder.text(), builder.spans()) == std::nullopt);
    std::vector<Span> plain;
    for (Span span : builder.spans()) {
      if (span.type == SpanType::kError || span.type == SpanType::kCorrection) {
        span = {SpanType::kThinking, span.begin, span.end};
      }
      if (!plain.empty() && plain.back().type == span.type && span.type == SpanType::kThinking) {
        plain.back().end = span.end;
      } else {
        plain.push_back(span);
      }
    }
    REQUIRE(trace.spans == plain);
    REQUIRE(unlawful(builder.text(), trace).empty());
  }
}

std::string mutated(std::string text, Random& random) {
  static const std::vector<std::string> inserts = {
      "<thinking>", "</thinking>", "<reflection>", "</reflection>",      "<output>", "</output>",
      "\xff",       "\xc3",        "\xed\xa0\x80", std::string("\0", 1), "<",        "\n"};
  const std::size_t at = random.below(text.size() + 1);
  const std::size_t length = random.below(text.size() + 1 - at);
  switch (random.below(5)) {
    case 0:
      return text.erase(at, random.below(16));
    case 1:
      return text.insert(at, text.substr(at, length));
    case 2:
      return text.insert(at, inserts[random.below(inserts.size())]);
    case 3:
      return text.substr(0, at);
    default:
      return text.substr(at, length) + text.substr(0, at) + text.substr(at + length);
  }
}

TEST_CASE("no mutation of a trace makes the parser throw or report out of place") {
  Random random(2, "trace test");
  int broken = 0;
  constexpr int kCases = 20000;
  for (int i = 0; i < kCases; ++i) {
    std::string text = random_trace(random).text();
    for (std::uint64_t n = 1 + random.below(3); n > 0; --n) text = mutated(text, random);
    const Trace trace = parse_trace(text);
    INFO(text);
    REQUIRE(unlawful(text, trace) == "");
    if (trace.ok()) {
      REQUIRE(check_spans(text, trace.spans) == std::nullopt);
      REQUIRE_FALSE(trace.output.empty());
    }
    broken += !trace.ok();
  }
  CHECK(broken > kCases / 2);
  CHECK(broken < kCases);
}

TEST_CASE("long runs of tags are parsed") {
  std::string text;
  for (int i = 0; i < 20000; ++i) text += "<reflection></output>";
  const Trace trace = parse_trace(text);
  CHECK(trace.problems.size() ==
        60002);  // nested, never closed; unopened; no section of both kinds
}

TEST_CASE("the span check finds what the tags do not say") {
  TraceBuilder builder;
  builder.thinking("A pen costs 3. ");
  builder.error("4 pens cost 7.", 1, Proof::kExecuted);
  builder.reflection("3 * 4 is 12.", 1);
  builder.correction("4 pens cost 12.", 1);
  builder.output("12");
  const std::string& text = builder.text();
  const std::vector<Span>& good = builder.spans();
  REQUIRE(check_spans(text, good) == std::nullopt);

  const auto refused = [&](auto change) {
    std::vector<Span> spans = good;
    change(spans);
    return check_spans(text, spans).value_or("accepted");
  };
  using Spans = std::vector<Span>;
  CHECK_THAT(refused([](Spans& s) { s.pop_back(); }), Catch::Contains("end at byte"));
  CHECK_THAT(refused([](Spans& s) { s[1].end += 1; }), Catch::Contains("expected a start"));
  CHECK_THAT(refused([](Spans& s) { s[2].type = SpanType::kOutput; }), Catch::Contains("proof"));
  CHECK_THAT(refused([](Spans& s) { s[2].round = 2; }), Catch::Contains("round 2 of 1"));
  CHECK_THAT(refused([](Spans& s) {
               s[1] = {SpanType::kError, s[1].begin, s[1].end, 1};
             }),
             Catch::Contains("second or late error"));
  CHECK_THAT(refused([](Spans& s) {
               s[1] = {SpanType::kCorrection, s[1].begin, s[1].end, 1};
             }),
             Catch::Contains("early correction"));
  CHECK_THAT(refused([](Spans& s) { s[5].type = SpanType::kThinking; }),
             Catch::Contains("the tags say"));
  CHECK_THAT(refused([](Spans& s) { s[0].end -= 1, s[1].begin -= 1; }),
             Catch::Contains("the tags say"));
  CHECK(refused([](Spans& s) { s[2].round = 0; }) == "accepted");
}

TEST_CASE("the builder refuses tags and traces that would not parse") {
  TraceBuilder builder;
  CHECK_THROWS_WITH(builder.thinking("see <output> there"), Catch::Contains("<output> at byte 4"));
  CHECK_THROWS_WITH(TraceBuilder().output("12"), Catch::Contains("empty_tag"));
  builder.thinking("a<reflec");
  builder.thinking("tion>b");
  CHECK_THROWS_AS(builder.output("12"), Error);

  TraceBuilder skips_a_round;
  skips_a_round.reflection("hm", 2);
  CHECK_THROWS_AS(skips_a_round.output("12"), Error);

  TraceBuilder no_output;
  no_output.thinking("a");
  CHECK_THROWS_WITH(no_output.output(" "), Catch::Contains("empty_tag"));
}

TEST_CASE("names of span types, proofs and issues") {
  for (int i = 0; i < 6; ++i) {
    const auto type = static_cast<SpanType>(i);
    CHECK(span_type_named(name_of(type)) == type);
  }
  for (int i = 0; i < 4; ++i) {
    const auto proof = static_cast<Proof>(i);
    CHECK(proof_named(name_of(proof)) == proof);
  }
  CHECK(span_type_named("thoughts") == std::nullopt);
  CHECK(proof_named("") == std::nullopt);
  CHECK(name_of(Issue::kTextOutsideTags) == "text_outside_tags");
}

}  // namespace
}  // namespace reflect
