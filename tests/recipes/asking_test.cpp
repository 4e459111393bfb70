// Steps that ask: the shipped recipes with scripted replies, and each kind of step.
#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "recipes/fields.h"
#include "recipes/scripted.h"
#include "reflect/base/error.h"
#include "temp_folder.h"

using namespace reflect;

namespace {

std::string part(const TraceRow& row, SpanType type) {
  for (const Span& span : row.spans) {
    if (span.type == type) return row.response.substr(span.begin, span.end - span.begin);
  }
  return "";
}

}  // namespace

TEST_CASE("a template is filled once, and the reply's sections become fields") {
  const TraceRow row = only_row(
      "steps:\n  - ask: {prompt: \"Q: {{problem}}\", tags: [plan, \"note?\"], into: all}\n"
      "  - assemble: {response: \"{{plan}}|{{note}}|{{all}}\"}\n",
      [](const TeacherRequest& request) {
        CHECK(request.messages.back().content.starts_with("Q: A pen costs 3"));
        return text_reply("x <plan> {{problem}} </plan>");
      });
  CHECK(row.fate == Fate::kAccepted);
  CHECK(row.response == "{{problem}}||x <plan> {{problem}} </plan>");
}

TEST_CASE("a reply that cannot be used ends the row with its reason") {
  const std::string steps =
      "steps:\n  - ask: {prompt: x, tags: [plan]}\n  - assemble: {response: \"{{plan}}\"}\n";
  const auto reason_for = [&](TeacherReply reply) {
    const TraceRow row = only_row(steps, [&](const TeacherRequest&) { return reply; });
    CHECK(row.at_step == "ask");
    CHECK((row.fate == Fate::kNotUsed) == (row.reason == "not_answered"));
    return row.reason;
  };
  CHECK(reason_for(text_reply(" \n")) == "empty_reply");
  CHECK(reason_for(text_reply("<plan>a")) == "no_plan");
  TeacherReply reply = text_reply("<plan>a</plan>");
  reply.finish = ReplyFinish::kLength;
  CHECK(reason_for(reply) == "cut_off");
  reply.finish = ReplyFinish::kRefusal;
  CHECK(reason_for(reply) == "refused");
  reply.finish = ReplyFinish::kFailed;
  CHECK(reason_for(reply) == "request_failed");
  reply.may_succeed_later = true;
  CHECK(reason_for(reply) == "not_answered");
}

TEST_CASE("of several replies a bad one is left empty, and all bad ones end the row") {
  int count = 0;
  const std::string steps =
      "steps:\n  - ask: {prompt: x, samples: 3, tags: [output]}\n"
      "  - vote: {field: output, into: winner, at_least: 0.5}\n"
      "  - assemble: {response: \"{{winner}}\"}\n";
  const TraceRow row = only_row(steps, [&](const TeacherRequest& request) {
    CHECK(request.draw == static_cast<std::uint64_t>(count));
    return text_reply(++count == 2 ? "nothing" : "<output>17.0</output>");
  });
  CHECK(row.response == "17.0");
  CHECK(row.lineage["votes"]["winner"] == "2/3");
  CHECK(only_row(steps, [](const TeacherRequest&) { return text_reply("?"); }).reason ==
        "no_output");
}

TEST_CASE("votes: the most frequent answer wins, by the checker and not by the letter") {
  const auto vote_on = [](const std::vector<std::string>& answers, const std::string& at_least) {
    std::size_t next = 0;
    return only_row("steps:\n  - ask: {prompt: x, samples: " + std::to_string(answers.size()) +
                        "}\n  - vote: {field: reply, at_least: " + at_least +
                        "}\n  - assemble: {response: \"{{winner}}\"}\n",
                    [&](const TeacherRequest&) { return text_reply(answers[next++]); });
  };
  CHECK(vote_on({"18", "17", "17.0", "$17"}, "0.7").response == "17");
  CHECK(vote_on({"18", "17", "19"}, "0").response == "18");
  CHECK(vote_on({"18", "17", "19"}, "0.5").reason == "no_majority");
}

TEST_CASE("a judge's marks decide, and marks that are not there are no pass") {
  const auto judged = [](const std::string& text, const std::string& otherwise = "reject") {
    return only_row(
        "steps:\n  - judge:\n      prompt: \"{{rubric}}\"\n      rubric: {clear: no riddle, true: "
        "no lie}\n      at_least: 4\n      otherwise: " +
            otherwise + "\n  - assemble: {response: \"{{verdict}} {{verdict_score}}\"}\n",
        [&](const TeacherRequest& request) {
          CHECK(request.messages.back().content == "clear: no riddle\ntrue: no lie");
          return text_reply(text);
        });
  };
  CHECK(judged("Fine.\n- **clear**: 5\ntrue: 4/5").response == "pass 4.5");
  CHECK(judged("clear: 5\ntrue: 3").reason == "low_marks");
  CHECK(judged("clear: 5\ntrue: 3", "keep").response == "fail 4");
  CHECK(judged("clear: 5").reason == "unreadable_marks");
  CHECK(judged("clear: 5\ntrue: 9").reason == "unreadable_marks");
  CHECK(judged("clear: nan\ntrue: 5").reason == "unreadable_marks");
}

TEST_CASE("a loop ends by its condition or its rounds, and its draws are told apart") {
  const std::string steps =
      "steps:\n  - loop:\n      rounds: 3\n      until: verdict is right\n      steps:\n"
      "        - ask: {prompt: again, tags: [output]}\n        - check: {otherwise: keep}\n"
      "  - assemble: {response: \"{{output}}\"}\n";
  int asked = 0;
  const TraceRow good = only_row(steps, [&](const TeacherRequest& request) {
    CHECK(request.draw == static_cast<std::uint64_t>(asked));
    return text_reply(++asked == 2 ? "<output>17</output>" : "<output>18</output>");
  });
  CHECK(asked == 2);
  CHECK(good.response == "17");
  CHECK(good.lineage["rounds"] == 2);
  const TraceRow bad =
      only_row(steps, [&](const TeacherRequest&) { return text_reply("<output>1</output>"); });
  CHECK(bad.reason == "rounds_used_up");
}

TEST_CASE("another attempt at a problem asks with other draws") {
  const Recipe recipe =
      recipe_of("steps:\n  - ask: {prompt: x}\n  - assemble: {response: \"{{reply}}\"}\n");
  const Script script = script_of({{"x", "y"}});
  const auto first = run_scripted(recipe, one_model(), kPens, script, 0);
  const auto second = run_scripted(recipe, one_model(), kPens, script, 1);
  CHECK(first.requests[0].draw != second.requests[0].draw);
  CHECK(first.requests[0].seed != second.requests[0].seed);
}

TEST_CASE("steps choose their teachers by name") {
  TeacherConfig small, large;
  small.kind = large.kind = "openai";
  small.name = "small";
  small.sampling.temperature = 0.9;
  large.sampling.temperature = 0.1;
  const TeacherTable teachers({small, large});
  const Recipe recipe = recipe_of(
      "steps:\n  - ask: {prompt: a, teacher: small}\n  - ask: {prompt: b, teacher: other}\n"
      "  - ask: {prompt: c, temperature: 0.5}\n  - assemble: {response: \"{{reply}}\"}\n");
  const auto run =
      run_scripted(recipe, teachers, kPens, script_of({{"a", "1"}, {"b", "2"}, {"c", "3"}}));
  REQUIRE(run.requests.size() == 3);
  CHECK(run.requests[0].sampling.temperature == 0.9);
  CHECK(run.requests[1].sampling.temperature == 0.1);
  CHECK(run.requests[2].sampling.temperature == 0.5);
  CHECK_THROWS_WITH(TeacherTable({small, small}), Catch::Contains("two teachers"));
  large.name = "large";
  const TeacherTable named({small, large});
  CHECK_THROWS_WITH(Pipeline(recipe, 1, named), Catch::Contains("there is no teacher \"other\""));
  CHECK_THROWS_WITH(Pipeline(recipe, 1, TeacherTable()), Catch::Contains("asks a model"));
}

TEST_CASE("the recipe that the documentation shows is one") {
  const std::string page = read_file(std::string(REFLECT_SOURCE_DIR) + "/docs/recipes.md");
  const std::size_t begin = page.find("```yaml\n") + 8;
  const TempFolder folder;
  write_file_atomic(folder / "shown.yaml", page.substr(begin, page.find("```", begin) - begin));
  const auto run = run_scripted(load_recipe(folder / "shown.yaml"), one_model(), kPens,
                                script_of({{"The answer is 17", "It costs 17."},
                                           {"Mark this text", "simple: 5\ntrue: 5"},
                                           {"child of ten", "Hm. <output>17</output>"}}));
  REQUIRE(run.rows.size() == 1);
  CHECK(run.rows[0].response == "It costs 17.");
  CHECK(run.requests.size() == 6);
  CHECK(run.rows[0].lineage["winner"] == "17");
}

TEST_CASE("reflection: a judge's quote places what the arithmetic does not") {
  const std::string reply =
      "<thinking>\nI count 3 pens. 3 * 3 = 9.\n<reflection>It is 4 pens.</reflection>\n"
      "4 * 3 = 12. 12 + 5 = 17.\n</thinking>\n<output>17</output>";
  const auto with_quote = [&](const std::string& quote) {
    return run_scripted(load_recipe("reflection"), one_model(), kPens,
                        script_of({{"noticed a mistake", quote}, {"A pen costs", reply}}));
  };
  const auto run = with_quote("<quote>I count 3 pens.</quote>");
  REQUIRE(run.rows.size() == 1);
  const TraceRow& row = run.rows[0];
  REQUIRE(row.fate == Fate::kAccepted);
  CHECK(part(row, SpanType::kError) == "I count 3 pens.");
  CHECK(part(row, SpanType::kCorrection) == "4 * 3 = 12.");
  CHECK(row.errors.at(0).proof == Proof::kJudged);
  CHECK(check_spans(row.response, row.spans) == std::nullopt);
  CHECK(run.requests[0].messages[0].role == "system");
  // Words that are not in the text place nothing.
  const auto other = with_quote("<quote>I count two pens.</quote>");
  CHECK(other.rows[0].fate == Fate::kAccepted);
  CHECK(other.rows[0].errors.at(0).proof == Proof::kNone);
  CHECK(part(other.rows[0], SpanType::kError).empty());
}

TEST_CASE("split: a model's wrong solution is quoted, mended by a model and verified") {
  const std::string wrong = "I add the prices: 3 + 5 = 8.\nTimes 4: 8 * 4 = 32.\nA: 32";
  const std::string mended =
      "<reflection>The paper is bought once.</reflection>\n<continuation>The pens cost 4 * 3 = 12."
      "\nWith the paper it is 12 + 5 = 17.</continuation>\n<final>17</final>";
  const auto run =
      run_scripted(load_recipe("split"), one_model(), kPens,
                   script_of({{"first one that is wrong", "<quote>Times 4: 8 * 4 = 32.</quote>"},
                              {"A student works", mended},
                              {"A pen costs", wrong}}));
  REQUIRE(run.rows.size() == 1);
  const TraceRow& row = run.rows[0];
  INFO(row.at_step << " " << row.reason << " " << row.detail);
  REQUIRE(row.fate == Fate::kAccepted);
  CHECK(part(row, SpanType::kError) == "Times 4: 8 * 4 = 32.");
  CHECK(part(row, SpanType::kReflection).find("bought once") != std::string::npos);
  CHECK(part(row, SpanType::kCorrection) == "The pens cost 4 * 3 = 12.");
  CHECK(row.errors.at(0).proof == Proof::kJudged);
  CHECK(row.solution.source == "draw-0");
}

TEST_CASE("recycle and selective: criticised and written anew") {
  const char* const alpaca =
      R"({"instruction": "Name a color.", "input": "", "output": "Blue is a color."})";
  const Script script = [](const TeacherRequest& request) {
    if (asks(request, "<instruction>")) {
      return text_reply(
          "Thin. <instruction>Compare two colors.</instruction><answer>Red and blue "
          "differ in warmth.</answer>");
    }
    const std::string tag = asks(request, "<answer_a>")    ? "answer_a"
                            : asks(request, "<answer_qa>") ? "answer_qa"
                                                           : "better_answer";
    return text_reply("Short. <" + tag + ">Much better, of " +
                      (asks(request, "Compare") ? "two" : "one") + ".</" + tag + ">");
  };
  const auto recycled = run_scripted(load_recipe("recycle"), one_model(), alpaca, script);
  REQUIRE(recycled.rows.size() == 1);
  CHECK(recycled.rows[0].assembled->prompt == "Compare two colors.");
  CHECK(recycled.rows[0].response == "Much better, of two.");

  const auto selective = run_scripted(load_recipe("selective"), one_model(), alpaca, script);
  std::map<std::string, std::string> responses;
  for (const TraceRow& row : selective.rows) {
    CHECK(row.fate == Fate::kAccepted);
    responses[variant_of(row)] = row.response;
  }
  CHECK(responses == std::map<std::string, std::string>{{"original", "Blue is a color."},
                                                        {"Q", "Red and blue differ in warmth."},
                                                        {"A", "Much better, of one."},
                                                        {"QA", "Much better, of two."}});
}

TEST_CASE("raspberry: solved against a verifier, then told as one trace") {
  const std::string trace =
      "<thinking>\nHens have 2 legs, so 3 hens have 3 * 2 = 5 legs.\n<reflection>3 * 2 is "
      "6.</reflection>\n3 * 2 = 6 legs, and I checked it with care this time.\n</thinking>\n"
      "<output>6</output>";
  int solved = 0;
  const auto run_with = [&](const std::string& rewrite) {
    solved = 0;
    return run_scripted(
        load_recipe("raspberry"), one_model(), kPens, [&](const TeacherRequest& request) {
          if (asks(request, "Write a new, hard problem")) {
            return text_reply("<question>Legs of 3 hens?</question> <gold>6</gold>");
          }
          if (asks(request, "Claimed answer")) {
            return text_reply("clear: 5\nhard: 4\ncheckable: 5");
          }
          if (asks(request, "train of thought")) return text_reply(rewrite);
          if (asks(request, "Which step is the first")) return text_reply("3 * 2 is not 5.");
          if (asks(request, "sound: every step")) return text_reply("sound: 4\ncomplete: 4");
          ++solved;
          CHECK(request.messages.size() == (solved == 1 ? 1 : 3));
          return text_reply(solved == 1 ? "3 * 2 = 5 <output>5</output>"
                                        : "Sorry, it is 6. <output>6</output>");
        });
  };
  const auto good = run_with(trace);
  CHECK(solved == 2);
  REQUIRE(good.rows.size() == 1);
  INFO(good.rows[0].at_step << " " << good.rows[0].reason << " " << good.rows[0].detail);
  CHECK(good.rows[0].fate == Fate::kAccepted);
  CHECK(good.rows[0].assembled->answer == "6");
  CHECK(good.rows[0].errors.size() == 1);
  const auto lost = run_with("<thinking>\n6\n</thinking>\n<output>6</output>");
  CHECK(lost.rows[0].reason == "too_short");
}

TEST_CASE("orca: the strategy at which the student does best, its instruction erased") {
  const Recipe recipe = load_recipe("orca");
  const std::string best = recipe.constants.at("strategies")[2];
  const auto run = run_scripted(recipe, one_model(), kPens, [&](const TeacherRequest& request) {
    const bool good = request.messages.front().content == best;
    return text_reply(good ? "By recall. <output>17</output>" : "<output>1</output>");
  });
  REQUIRE(run.rows.size() == 1);
  CHECK(run.requests.size() == 5 * 4 + 1);
  CHECK(run.rows[0].fate == Fate::kAccepted);
  CHECK(run.rows[0].lineage["strategy"] == best);
  CHECK(run.rows[0].response == "By recall. <output>17</output>");
  CHECK_FALSE(run.rows[0].assembled->system.has_value());
}

TEST_CASE("s2a: the answer comes from the rewritten problem only") {
  const auto run =
      run_scripted(load_recipe("s2a"), one_model(), kPens, [](const TeacherRequest& request) {
        if (asks(request, "Take out")) {
          return text_reply("<context>Prices.</context><question>How much?</question>");
        }
        CHECK_FALSE(asks(request, "A pen costs 3"));
        return text_reply("4 * 3 + 5. <output>17</output>");
      });
  CHECK(run.rows.at(0).fate == Fate::kAccepted);
  CHECK(
      run.rows[0].response.starts_with("What matters here: Prices.\n\nThe question is: How much?"));
}

TEST_CASE("panel: experts vote until they agree, and the report is revised between") {
  int votes = 0, revisions = 0;
  const auto run =
      run_scripted(load_recipe("panel"), one_model(), kPens, [&](const TeacherRequest& request) {
        if (asks(request, "fields of expertise")) {
          return text_reply("1. Arithmetic\n2. Shopping\n- Law");
        }
        if (asks(request, "Analyse this")) {
          return text_reply("By " + request.messages.front().content.substr(0, 60));
        }
        if (asks(request, "agree with the report")) {
          return text_reply(++votes == 2 ? "<vote>no</vote><advice>Say 17.</advice>"
                                         : "<vote>Yes.</vote>");
        }
        if (asks(request, "Revise this report")) {
          ++revisions;
          CHECK(asks(request, "Say 17."));
          return text_reply("It is 17.");
        }
        if (asks(request, "Answer the question by")) {
          CHECK(asks(request, "It is 17."));
          return text_reply("So 17. <output>17</output>");
        }
        CHECK(asks(request, "Shopping"));
        return text_reply("A report.");
      });
  CHECK(run.rows.at(0).fate == Fate::kAccepted);
  CHECK(votes == 6);
  CHECK(revisions == 1);
  CHECK(run.rows[0].lineage["rounds"] == 2);
}
