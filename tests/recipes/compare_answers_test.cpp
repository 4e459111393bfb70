// Answers compared in a recipe's steps: by mathematical worth, by tests, by a judge; and the
// language that a field must have.
#include "recipes/compare_answers.h"

#include <catch2/catch.hpp>

#include "recipes/scripted.h"
#include "reflect/base/error.h"

using namespace reflect;

TEST_CASE("a judge compares answers that no checker can, and says so in any spelling") {
  const std::string steps =
      "steps:\n  - ask: {prompt: x, samples: 3}\n"
      "  - check: {field: reply, checker: judge, otherwise: keep}\n"
      "  - assemble: {response: \"{{verdict}}\"}\n";
  int asked = 0;
  const TraceRow row = only_row(steps, [&](const TeacherRequest& request) {
    if (!asks(request, "Answer to judge")) {
      return text_reply(std::vector<std::string>{"Seventeen.", " ", "Eighteen."}[asked++ % 3]);
    }
    CHECK(asks(request, "Right answer:\n17"));
    CHECK(asks(request, "A pen costs 3"));
    return text_reply(asks(request, "Seventeen") ? "Verdict? It says 17.\n**Verdict:** Right."
                                                 : "verdict: wrong");
  });
  INFO(row.reason << " " << row.detail);
  CHECK(row.response == "right\n\nwrong\n\nwrong");
  CHECK(asked == 3);  // the empty reply is nothing to ask about
  const TraceRow unclear =
      only_row(steps, [](const TeacherRequest&) { return text_reply("It depends."); });
  CHECK(unclear.reason == "unreadable_verdict");
  CHECK(unclear.at_step == "check");

  for (const char* right : {"verdict: right", "- `Verdict`: \"correct\"", "so\nYES.",
                            "verdict: wrong\nNo, I see now.\nverdict: right"}) {
    CHECK(verdict_in(right) == true);
  }
  CHECK(verdict_in("Incorrect.") == false);
  CHECK(verdict_in("verdict: false\n\n") == false);
  CHECK_FALSE(verdict_in("right or wrong").has_value());
  CHECK_FALSE(verdict_in("").has_value());
}

TEST_CASE("a judge's prompt is the recipe's, and its teacher too") {
  TeacherConfig plain, judge;
  plain.kind = judge.kind = "openai";
  judge.name = "careful";
  const Recipe recipe = recipe_of(
      "steps:\n  - ask: {prompt: x}\n  - check: {field: reply, checker: judge, teacher: careful, "
      "prompt: \"{{item}} or {{against}}\"}\n  - assemble: {response: \"{{reply}}\"}\n");
  const auto run = run_scripted(recipe, TeacherTable({plain, judge}), kPens,
                                script_of({{"12 or 17", "wrong"}, {"x", "12"}}));
  CHECK(run.rows.at(0).reason == "wrong_answer");
  CHECK_THROWS_WITH(recipe_of("steps:\n  - check: {prompt: why}\n"),
                    Catch::Contains("for the checker judge, not for auto"));
  CHECK_THROWS_WITH(recipe_of("steps:\n  - vote: {field: output, checker: judge}\n"),
                    Catch::Contains("judge"));
}

TEST_CASE("verify with a judge asks only about traces that are sound") {
  const std::string steps =
      "steps:\n  - ask: {prompt: x}\n  - assemble: {response: \"{{reply}}\"}\n"
      "  - verify: {checker: judge}\n";
  const auto verified = [&](const std::string& thinking, const std::string& verdict) {
    return only_row(steps, [&](const TeacherRequest& request) {
      return text_reply(asks(request, "Answer to judge")
                            ? "verdict: " + verdict
                            : "<thinking>\n" + thinking +
                                  "\n</thinking>\n<output>\nseventeen, I "
                                  "say\n</output>");
    });
  };
  CHECK(verified("4 * 3 = 12", "right").fate == Fate::kAccepted);
  CHECK(verified("4 * 3 = 12", "wrong").reason == "wrong_output");
  CHECK(verified("4 * 3 = 13", "no verdict is read").reason == "not_as_claimed");
}

TEST_CASE("mathematical answers and programs are checked in a recipe's steps") {
  const std::string steps =
      "steps:\n  - ask: {prompt: x, tags: [output]}\n  - check: {checker: math, against: "
      "\"\\\\frac{\\\\sqrt{8}}{2}\"}\n  - assemble: {response: \"{{output}}\"}\n";
  const auto math = [&](const std::string& output) {
    return only_row(steps, [&](const TeacherRequest&) {
      return text_reply("<output>" + output + "</output>");
    });
  };
  CHECK(math("$\\sqrt 2$").fate == Fate::kAccepted);
  CHECK(math("1.41").detail == "wrong");

  const std::string programs =
      "steps:\n  - ask: {prompt: x}\n  - check: {field: reply, checker: unit_tests, against: "
      "\"assert add(2, 3) == 5\"}\n  - assemble: {response: \"{{reply}}\"}\n";
  const auto program = [&](const std::string& code) {
    return only_row(programs, [&](const TeacherRequest&) {
      return text_reply("Like this:\n```python\ndef add(a, b):\n    " + code + "\n```\n");
    });
  };
  CHECK(program("return a + b").fate == Fate::kAccepted);
  CHECK(program("return a - b").detail == "wrong");
  CHECK(program("return a +").detail == "error");
}

TEST_CASE("a field's language is bounded, where it tells") {
  const std::string steps =
      "steps:\n  - ask: {prompt: x}\n  - require: {field: reply, language: [en, nl]}\n"
      "  - assemble: {response: \"{{reply}}\"}\n";
  const auto wrote = [&](const std::string& text) {
    return only_row(steps, [&](const TeacherRequest&) { return text_reply(text); }).reason;
  };
  CHECK(wrote("The pens cost 12 and the paper costs 5, so that is 17 for all of them.").empty());
  CHECK(wrote("Die Stifte kosten 12 und das Papier kostet 5, also ist es zusammen 17.") ==
        "other_language");
  CHECK(wrote("4 * 3 + 5 = 17").empty());
  CHECK_THROWS_WITH(recipe_of("steps:\n  - require: {field: problem, language: [xx]}\n"),
                    Catch::Contains("\"xx\" is not known; known: ar, de"));
}
