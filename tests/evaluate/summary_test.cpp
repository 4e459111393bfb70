// Grades and what they add up to.
#include "evaluate/summary.h"

#include <catch2/catch.hpp>

#include "evaluate/answering.h"

namespace reflect {
namespace {

const std::string kThought = "<thinking>\n2 * 3 = 5\n";
const std::string kNoticed = kThought + "<reflection>no, 6</reflection>\n2 * 3 = 6\n</thinking>\n";

Problem problem(const std::string& gold, const std::string& group = "") {
  return {"id", "hash", {{"user", "?"}}, gold, group};
}

GradedAnswer graded(const std::string& response, const std::string& gold, bool fallback = false) {
  Answer answer;
  answer.response = response;
  answer.finish = "end";
  answer.new_tokens = 10;
  const Grade got = grade(answer, problem(gold), Checker::named("auto"), fallback);
  return {answer, got};
}

GradedAnswer output(const std::string& text, const std::string& gold = "6") {
  return graded(kThought + "</thinking>\n<output>" + text + "</output>", gold);
}

GradedAnswer noticed(const std::string& text, const std::string& gold = "6") {
  return graded(kNoticed + "<output>" + text + "</output>", gold);
}

ArmAnswers arm_of(const std::string& name, std::vector<std::vector<GradedAnswer>> answers) {
  ArmAnswers arm;
  arm.arm.name = name;
  arm.of_problem = std::move(answers);
  return arm;
}

TEST_CASE("only the output is graded") {
  CHECK(noticed("6").grade.right);
  CHECK(noticed("6").grade.reflections == 1);
  CHECK(noticed("6").grade.issues.empty());
  CHECK(!output("5").grade.right);
  CHECK(output("5").grade.output == "5");
  const Grade none = graded("The answer is 6.\n#### 6", "6").grade;
  CHECK(!none.right);
  CHECK(none.reason == "no_output");
  CHECK(none.issues == std::vector<std::string>{"no_output", "no_thinking", "text_outside_tags"});
}

TEST_CASE("the fallback grades the final answer of a text without an output") {
  const Grade taken = graded("2 * 3 = 6\n#### 6", "6", true).grade;
  CHECK(taken.right);
  CHECK(taken.by_fallback);
  CHECK(!taken.has_output);
  CHECK(!graded("no answer here", "6", true).grade.right);
  CHECK(!graded(kThought + "</thinking>\n<output>5</output>\n#### 6", "6", true).grade.right);
}

TEST_CASE("a draft is cut at the first reflection inside the thinking") {
  CHECK(forced_draft(kNoticed + "<output>6</output>") ==
        "<thinking>\n2 * 3 = 5\n</thinking>\n<output>");
  CHECK(!forced_draft(kThought + "</thinking>\n<output>5</output>"));
  CHECK(!forced_draft("<thinking>\nx\n</thinking>\n<reflection>late</reflection>"));
  CHECK(forced_draft("<thinking>\n<reflection>at once") == "<thinking>\n</thinking>\n<output>");
}

TEST_CASE("an arm's summary counts answers, groups and form") {
  const std::vector<Problem> problems = {problem("6", "a"), problem("6", "a"), problem("6", "b")};
  const ArmSummary summary = summarize_arm(
      arm_of("x", {{noticed("6")}, {output("5")}, {graded("six", "6")}}), problems, {});
  CHECK(summary.accuracy.value == Approx(1.0 / 3));
  CHECK(summary.accuracy.interval.low == Approx(wilson_interval(1, 3).low));
  CHECK(summary.of_group.at("a").value == 0.5);
  CHECK(summary.of_group.at("b").value == 0);
  CHECK(summary.of_group.at("b").problems == 1);
  CHECK(summary.answers == 3);
  CHECK(summary.right == 1);
  CHECK(summary.new_tokens == 30);
  CHECK(summary.reflections == 1);
  CHECK(summary.with_reflection == 1);
  CHECK(summary.without_output == 1);
  CHECK(summary.finishes.at("end") == 3);
  CHECK(summary.issues.at("no_output") == 1);
}

TEST_CASE("several samples give pass@1 and a majority vote") {
  const std::vector<Problem> problems = {problem("6"), problem("6")};
  const ArmSummary summary = summarize_arm(arm_of("x", {{output("5"), output("6"), output("6.0")},
                                                        {output("5"), output("6"), output("7")}}),
                                           problems, {});
  CHECK(summary.accuracy.value == Approx((2.0 / 3 + 1.0 / 3) / 2));
  CHECK(summary.majority_accuracy == 0.5);  // a tie goes to the first drawn, which is wrong
}

TEST_CASE("pairs of arms are compared problem by problem") {
  const ArmAnswers first =
      arm_of("a", {{output("5")}, {output("6")}, {output("5")}, {output("6")}});
  const ArmAnswers second =
      arm_of("b", {{output("6")}, {output("5")}, {output("6")}, {output("6")}});
  const PairSummary pair = compare_arms(first, second, {});
  CHECK(pair.difference == 0.25);
  CHECK(pair.gained == 2);
  CHECK(pair.lost == 1);
  CHECK(pair.p == Approx(mcnemar_exact_p(2, 1)));
  CHECK(pair.interval.low < 0);
  CHECK(pair.interval.high > 0.25);
}

TEST_CASE("a reflection repairs, breaks or changes nothing") {
  const ArmAnswers final = arm_of("tuned", {{noticed("6")},
                                            {noticed("5")},
                                            {noticed("6")},
                                            {noticed("5")},
                                            {output("6")},
                                            {output("5")}});
  const ArmAnswers draft = arm_of(
      "draft",
      {{output("5")}, {output("6")}, {output("6")}, {output("5")}, {output("6")}, {output("5")}});
  const ArmAnswers base = arm_of(
      "base",
      {{output("6")}, {output("6")}, {output("5")}, {output("5")}, {output("6")}, {output("6")}});
  const DraftSummary got = compare_draft(draft, final, &base);
  CHECK(got.answers == 6);
  CHECK(got.reflected == 4);
  CHECK(got.repaired == 1);
  CHECK(got.broke == 1);
  CHECK(got.stayed_right == 1);
  CHECK(got.stayed_wrong == 1);
  CHECK(got.let_pass == 1);
  CHECK(got.missed == 1);
  CHECK(got.base_right == 4);
  CHECK(got.erred_first == 1);
  CHECK(compare_draft(draft, final, nullptr).base.empty());
}

}  // namespace
}  // namespace reflect
