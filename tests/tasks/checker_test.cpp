// Answer checkers against answers that must pass and answers that must not.
#include "reflect/tasks/checker.h"

#include <catch2/catch.hpp>

#include "reflect/base/error.h"
#include "reflect/base/random.h"
#include "reflect/data/record.h"
#include "shared_data.h"

namespace reflect {
namespace {

std::string reason(const char* checker, std::string_view answer, std::string_view gold) {
  return Checker::named(checker).check(answer, gold).reason;
}

TEST_CASE("equal numbers in any spelling are right") {
  const std::vector<std::pair<const char*, const char*>> equal = {{"18", "18"},
                                                                  {" 18.\n", "18"},
                                                                  {"18.0", "18"},
                                                                  {"$18", "18"},
                                                                  {"\\$18.00", "18"},
                                                                  {"18 dollars", "18"},
                                                                  {"$ 18", "18"},
                                                                  {"€18", "18"},
                                                                  {"1,000", "1000"},
                                                                  {"1000", "1,000"},
                                                                  {"1e3", "1000"},
                                                                  {"1.5E-3", "0.0015"},
                                                                  {"1/2", "0.5"},
                                                                  {"0.5", "1/2"},
                                                                  {"\\frac{1}{2}", ".5"},
                                                                  {"\\dfrac{-1}{2}", "-1/2"},
                                                                  {"-5", "-5"},
                                                                  {"−5", "-5"},
                                                                  {"-$5", "-5"},
                                                                  {"$-5", "-5"},
                                                                  {"+5", "5"},
                                                                  {"2 1/2", "2.5"},
                                                                  {"50%", "0.5"},
                                                                  {"50%", "50"},
                                                                  {"50 percent", "50"},
                                                                  {"50", "50%"},
                                                                  {"0.5", "50%"},
                                                                  {"\\boxed{18}", "18"},
                                                                  {"$18$", "18"},
                                                                  {"\\(18\\)", "18"},
                                                                  {"18 km/h", "18"},
                                                                  {"3 eggs", "3"},
                                                                  {"2 million", "2,000,000"},
                                                                  {"5 square feet", "5"},
                                                                  {"12 m²", "12"},
                                                                  {"6/day", "6"},
                                                                  {"18 dollars.", "18"},
                                                                  {"2/4", "1/2"},
                                                                  {"0", "-0"},
                                                                  {"$1/2$", "0.5"}};
  for (const auto& [answer, gold] : equal) {
    INFO(answer << " for " << gold);
    CHECK(reason("number", answer, gold) == "right");
    CHECK(reason("auto", answer, gold) == "right");
  }
}

TEST_CASE("other numbers are wrong") {
  const std::vector<std::pair<const char*, const char*>> unequal = {
      {"10", "100"},   {"100", "10"},      {"18", "-18"},      {"1.8", "18"},  {"1,00", "100"},
      {"0.33", "1/3"}, {"50%", "5"},       {"1/2", "2"},       {"3 1/2", "3"}, {"18.001", "18"},
      {"5%", "0.5"},   {"2 million", "2"}, {"5 hundred", "5"}, {"1e3", "13"}};
  for (const auto& [answer, gold] : unequal) {
    INFO(answer << " for " << gold);
    CHECK_FALSE(Checker::named("number").check(answer, gold).right);
  }
}

TEST_CASE("a right number inside something else is no answer") {
  for (const char* answer : {"The answer is 18",
                             "18 is not right",
                             "18 or 19",
                             "18, 19",
                             "18-19",
                             "not 18",
                             "1 8",
                             "18 18",
                             "18 apples and 3 pears",
                             "x = 18",
                             "18 + 0",
                             "18!",
                             "a18",
                             "eighteen",
                             "1/0",
                             "18 dozen",
                             "0x12",
                             "--18",
                             "18 eggs a day or so more",
                             "\\frac{18}",
                             "18/",
                             "18 -",
                             "18 - 5",
                             "NaN",
                             "inf",
                             "1.2.3",
                             "1e999",
                             "$",
                             "%",
                             "\\boxed{}",
                             "18%%"}) {
    INFO(answer);
    CHECK(reason("number", answer, "18") == "not_a_number");
  }
  CHECK(reason("number", " ", "18") == "empty");
  CHECK(reason("number", "18", "eighteen") == "bad_gold");
}

TEST_CASE("huge numbers are compared or refused, never wrapped around") {
  const std::string big(38, '9');
  CHECK(reason("number", big, big) == "right");
  CHECK(reason("number", std::string(60, '9'), "1") == "not_a_number");
  CHECK(reason("number", "170141183460469231731687303715884105728", "0") == "not_a_number");
}

TEST_CASE("choices") {
  for (const char* answer : {"B", "b", "(B)", "[B]", "B.", "B)", "(b).", "B. Paris", "(B) Paris",
                             "B: Paris", " B\n", "\\boxed{B}", "B) the (big) one"}) {
    INFO(answer);
    CHECK(reason("choice", answer, "B") == "right");
    CHECK(reason("auto", answer, "(B)") == "right");
  }
  CHECK(reason("choice", "A", "B") == "wrong");
  for (const char* answer : {"the answer is (B)", "B or C", "Both", "Because", "(B) or (C)", "(B",
                             "B C", "B, C", "1", "(BC)", "B.C"}) {
    INFO(answer);
    CHECK(reason("choice", answer, "B") == "not_a_choice");
  }
  CHECK(reason("choice", "", "B") == "empty");
  CHECK(reason("choice", "B", "both") == "bad_gold");
  CHECK(Checker::named("choice").check("(c) x", "C").normalized == "C");
}

TEST_CASE("exact text") {
  CHECK(reason("exact", " apple\n bear ", "apple bear") == "right");
  CHECK(reason("exact", "Apple bear", "apple bear") == "wrong");
  CHECK(reason("exact", "apple bear cat", "apple bear") == "wrong");
  CHECK(reason("auto", "apple  bear", "apple bear") == "right");
  CHECK(reason("exact", "", "") == "empty");
}

TEST_CASE("unknown checkers are a usage error that lists the known ones") {
  CHECK_THROWS_WITH(Checker::named("maths"), Catch::Contains("auto, number, choice, math, exact"));
}

TEST_CASE("final answers of solutions") {
  CHECK(extract_final_answer("a\n#### 1,018\n") == "1,018");
  CHECK(extract_final_answer("#### 3\nno\n#### 4") == "4");
  CHECK(extract_final_answer("a\nA: 18\n\n") == "18");
  CHECK(extract_final_answer("A: 18\nso it is") == std::nullopt);
  CHECK(extract_final_answer("It is 18") == std::nullopt);
  CHECK(extract_final_answer("") == std::nullopt);
}

TEST_CASE("the number checker agrees with the marks of real solutions") {
  const auto folder = shared_data();
  if (!folder) return;
  LineReader lines(*folder + "/gsm8k/example_model_solutions.jsonl");
  int solutions = 0, agreed = 0;
  while (const auto line = lines.next()) {
    const Json row = parse_json_line(*line, "example_model_solutions");
    const auto gold = extract_final_answer(row["ground_truth"].get<std::string>());
    for (const auto& [model, entry] : row.items()) {
      if (!entry.is_object()) continue;
      const auto answer = extract_final_answer(entry["solution"].get<std::string>());
      ++solutions;
      agreed += check_number(answer.value_or(""), gold.value()).right == entry["is_correct"];
    }
  }
  CHECK(solutions == 5276);
  CHECK(agreed == solutions);
}

TEST_CASE("the gold answers of real problems are numbers") {
  const auto folder = shared_data();
  if (!folder) return;
  for (const char* name : {"/gsm8k/train.jsonl", "/gsm8k/test.jsonl"}) {
    for (const Record& record : read_records(*folder + name)) {
      INFO(*record.answer);
      REQUIRE(check_number(*record.answer, *record.answer).right);
      REQUIRE(json_of(record_of(json_of(record), name)) == json_of(record));
    }
  }
}

TEST_CASE("no text makes a checker throw") {
  const std::vector<std::string> pieces = {"1",       "0",
                                           ",",       ".",
                                           "/",       "$",
                                           "-",       "−",
                                           "\\frac",  "{",
                                           "}",       "%",
                                           "e",       " ",
                                           "(",       ")",
                                           "A",       "\\boxed{",
                                           "million", "\xff",
                                           "²",       "999999999999999999999999999999"};
  Random random(4, "checker test");
  int numbers = 0;
  for (int i = 0; i < 50000; ++i) {
    std::string text;
    for (std::uint64_t n = random.below(7); n > 0; --n) text += pieces[random.below(pieces.size())];
    const Verdict verdict = check_number(text, "7");
    if (verdict.reason == "right" || verdict.reason == "wrong") {
      ++numbers;
      REQUIRE(check_number(text, text).right);
      REQUIRE(check_number(verdict.normalized, text).right);
    }
    check_choice(text, "A");
    check_exact(text, "A");
    extract_final_answer(text);
  }
  CHECK(numbers > 1000);
}

}  // namespace
}  // namespace reflect
