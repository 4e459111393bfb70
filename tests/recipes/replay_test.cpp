// Recorded solutions: rows of every form become problems with solutions, mistakes are placed and
// mended, and what cannot be used is turned away with its reason.
#include <algorithm>
#include <catch2/catch.hpp>
#include <map>

#include "recipes/pipeline.h"
#include "recipes/source.h"
#include "reflect/base/error.h"
#include "shared_data.h"
#include "temp_folder.h"

using namespace reflect;

namespace {

// A problem with two right solutions and three wrong ones: a wrong equation, right equations about
// the wrong things, and one that breaks off.
const char* const kPens =
    R"({"question": "A pen costs $3 and paper costs $5. What do 4 pens and the paper cost?",)"
    R"( "ground_truth": "The pens cost 4 * 3 = $<<4*3=12>>12.\nIn all it is 12 + 5 = $<<12+5=17>>17.\nA: 17",)"
    R"( "good": {"is_correct": true, "solution": "4 * 3 = <<4*3=12>>12\n12 + 5 = <<12+5=17>>17\nA: 17"},)"
    R"( "fine": {"is_correct": true, "solution": "5 + 3 * 4 = 17\nA: 17"},)"
    R"( "slip": {"is_correct": false, "solution": "The pens cost 4 * 3 = $12.\nTogether 12 + 5 = 18.\nA: 18"},)"
    R"( "lost": {"is_correct": false, "solution": "3 + 5 = 8\n4 * 8 = 32\nA: 32"},)"
    R"( "open": {"is_correct": false, "solution": "The pens cost"}})";

const char* const kMarked =
    R"j({"input": "((2 + 3) * (4 - 1)) =", "target": "15", "answer": "20", "mistake_index": 1,)j"
    R"j( "steps": ["Let's calculate A = (2 + 3) = 5.", "Let's calculate B = (4 - 1) = 4.", "Then A * B = 5 * 4 = 20. So the answer is 20"]})j";

std::vector<TraceRow> rows_of(const std::string& recipe, const std::string& row,
                              const RecipeSettings& settings = {}) {
  const Recipe loaded = load_recipe(recipe, settings);
  const TeacherTable teachers;
  Pipeline pipeline(loaded, 1, teachers);
  return pipeline.run(std::make_shared<const SourceTask>(task_of(Json::parse(row), "rows:1")));
}

std::map<std::string, TraceRow> by_source(std::vector<TraceRow> rows) {
  std::map<std::string, TraceRow> named;
  for (TraceRow& row : rows) named[row.solution.source] = std::move(row);
  return named;
}

std::string part(const TraceRow& row, SpanType type) {
  for (const Span& span : row.spans) {
    if (span.type == type) return row.response.substr(span.begin, span.end - span.begin);
  }
  return "";
}

std::string reason_of(const TraceRow& row) {
  return row.at_step + ": " + row.reason;
}

}  // namespace

TEST_CASE("split cuts a wrong solution at its wrong equation and goes on from the gold solution") {
  auto rows = by_source(rows_of("split", kPens));
  REQUIRE(rows.size() == 5);
  const TraceRow& slip = rows["slip"];
  REQUIRE(slip.fate == Fate::kAccepted);
  CHECK(slip.response.starts_with("<thinking>\nThe pens cost 4 * 3 = $12.\n"));
  CHECK(part(slip, SpanType::kError) == "Together 12 + 5 = 18.");
  CHECK(part(slip, SpanType::kReflection).find("17") != std::string::npos);
  // The first gold step is not repeated: its result is there already.
  CHECK(part(slip, SpanType::kCorrection) == "In all it is 12 + 5 = $17.");
  CHECK(slip.response.ends_with("\n</thinking>\n<output>17</output>"));
  REQUIRE(slip.errors.size() == 1);
  CHECK(slip.errors[0].kind == "wrong_equation");
  CHECK(slip.errors[0].proof == Proof::kExecuted);
  CHECK(slip.errors[0].step == 1);

  CHECK(reason_of(rows["lost"]) == "locate: unplaced");
  CHECK(reason_of(rows["open"]) == "locate: no_final_answer");
  CHECK(rows["good"].fate == Fate::kAccepted);
  CHECK(rows["good"].right_at_once);
  CHECK(rows["good"].response ==
        "<thinking>\n4 * 3 = 12\n12 + 5 = 17\n</thinking>\n<output>17</output>");
}

TEST_CASE("a mistake without a place is used only as a whole attempt, when asked") {
  auto rows = by_source(rows_of("split", kPens, {{"unplaced", "whole_attempt"}}));
  const TraceRow& lost = rows["lost"];
  REQUIRE(lost.fate == Fate::kAccepted);
  CHECK(part(lost, SpanType::kError) == "3 + 5 = 8\n4 * 8 = 32\nSo the answer is 32.");
  CHECK(part(lost, SpanType::kCorrection) == "The pens cost 4 * 3 = $12.");
  REQUIRE(lost.errors.size() == 1);
  CHECK(lost.errors[0].kind == "whole_attempt");
  CHECK(lost.errors[0].proof == Proof::kNone);
}

TEST_CASE("right solutions are left out where none are wanted") {
  auto rows = by_source(rows_of("split", kPens, {{"clean_fraction", "0"}}));
  CHECK(rows["good"].fate == Fate::kNotUsed);
  CHECK(rows["good"].reason == "right_solution");
}

TEST_CASE("a marked step is cut there, and the way on is computed") {
  const auto rows = rows_of("split", kMarked);
  REQUIRE(rows.size() == 1);
  REQUIRE(rows[0].fate == Fate::kAccepted);
  CHECK(rows[0].errors[0].proof == Proof::kAnnotated);
  CHECK(part(rows[0], SpanType::kError) == "Let's calculate B = (4 - 1) = 4.");
  CHECK(part(rows[0], SpanType::kCorrection) == "4 - 1 = 3");
  CHECK(rows[0].response.find("(2 + 3) * (4 - 1) = 5 * 3 = 15") != std::string::npos);
  CHECK(rows[0].response.ends_with("<output>15</output>"));
}

TEST_CASE("plain writes the problem's own solution") {
  const auto rows = rows_of("plain", kPens);
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].fate == Fate::kAccepted);
  CHECK(rows[0].response ==
        "<thinking>\nThe pens cost 4 * 3 = $12.\nIn all it is 12 + 5 = $17.\n</thinking>\n"
        "<output>17</output>");
  const auto gsm8k =
      rows_of("plain", R"({"question": "2 + 2?", "answer": "2 + 2 = <<2+2=4>>4\n#### 4"})");
  REQUIRE(gsm8k.size() == 1);
  CHECK(gsm8k[0].response == "<thinking>\n2 + 2 = 4\n</thinking>\n<output>4</output>");
  CHECK(reason_of(rows_of("plain", R"({"prompt": "2 + 2?", "answer": "4"})")[0]) ==
        "write: no_solution");
}

TEST_CASE("a file's verdict that the checker does not share turns the row away") {
  std::string row = kPens;
  row.replace(row.find("A: 18"), 5, "A: 17");
  CHECK(reason_of(by_source(rows_of("split", row))["slip"]) == "draw: verdict_disagrees");
}

TEST_CASE("text that holds a tag is turned away") {
  std::string row = kPens;
  row.replace(row.find("= 18."), 5, "= 18. <output>");
  CHECK(reason_of(by_source(rows_of("split", row))["slip"]) == "mend: tag_in_text");
}

TEST_CASE("a recorded reply is parsed and its mistake located") {
  const auto row_with = [](const std::string& response) {
    const Json row = {{"prompt", "What is 3 * 4 + 5?"}, {"answer", "17"}, {"response", response}};
    return rows_of("reflection", row.dump())[0];
  };
  const TraceRow good = row_with(
      "<thinking>\nFirst I multiply. 3 * 4 = 7. <reflection>3 * 4 is 12, not 7.</reflection>\n"
      "So 3 * 4 = 12. Then 12 + 5 = 17.\n</thinking>\n<output>17</output>");
  REQUIRE(good.fate == Fate::kAccepted);
  CHECK(part(good, SpanType::kError) == "3 * 4 = 7.");
  CHECK(part(good, SpanType::kCorrection) == "So 3 * 4 = 12.");
  REQUIRE(good.errors.size() == 1);
  CHECK(good.errors[0].proof == Proof::kExecuted);

  const std::string vague =
      "<thinking>\nI think of 20.<reflection>No.</reflection>\n12 + 5 = 17\n</thinking>\n"
      "<output>17</output>";
  const TraceRow unplaced = row_with(vague);
  CHECK(unplaced.fate == Fate::kAccepted);
  CHECK(unplaced.errors[0].proof == Proof::kNone);
  const Json row = {{"prompt", "?"}, {"answer", "17"}, {"response", vague}};
  CHECK(reason_of(rows_of("reflection", row.dump(), {{"unplaced", "reject"}})[0]) ==
        "parse: unplaced");

  CHECK(row_with("<thinking>\n3 * 4 + 5 = 17\n</thinking>\n<output>17</output>").errors.empty());
  CHECK(reason_of(row_with("<thinking>\nx\n</thinking>\n<output>18</output>")) ==
        "verify: wrong_output");
  CHECK(reason_of(row_with("<thinking>\nx\n</thinking>")) == "parse: trace_no_output");
  CHECK(reason_of(row_with("<thinking>\n<output>17</output>")) == "parse: trace_unclosed_tag");
  CHECK(reason_of(row_with("<thinking>\n3 * 4 = 13\n</thinking>\n<output>17</output>")) ==
        "verify: not_as_claimed");
}

TEST_CASE("a malformed row is named by field, file and line") {
  for (const auto& [row, expected] : std::map<std::string, std::string>{
           {R"({"question": 1, "ground_truth": "A: 1"})", "'question'"},
           {R"({"question": "?", "ground_truth": "no answer"})", "'ground_truth'"},
           {R"({"question": "?", "ground_truth": "A: 1", "x": {"is_correct": true}})",
            "'solution'"},
           {R"({"input": "?", "steps": [1], "target": "1", "answer": "1"})", "'steps'"},
           {R"({"input": "?", "steps": ["a"], "target": "1", "answer": "1", "mistake_index": 4})",
            "'mistake_index' is 4"},
           {R"({"answer": "1"})", "no prompt"}}) {
    INFO(row);
    CHECK_THROWS_WITH(task_of(Json::parse(row), "rows.jsonl:7"),
                      Catch::Contains("rows.jsonl:7") && Catch::Contains(expected));
  }
}

TEST_CASE("the split of problems is by their text, in every file the same") {
  int train = 0;
  for (int i = 0; i < 2000; ++i) {
    const std::string prompt = "Problem " + std::to_string(i) + " about apples.";
    train += in_training_part(prompt, 0.7) ? 1 : 0;
    CHECK(in_training_part(prompt, 0.7) == in_training_part("  " + prompt + "\n", 0.7));
    CHECK_FALSE(in_training_part(prompt, 0.0));
    CHECK(in_training_part(prompt, 1.0));
  }
  CHECK(train / 2000.0 == Approx(0.7).margin(0.04));
}

TEST_CASE("recorded real solutions become verified traces") {
  const auto folder = shared_data();
  if (!folder) return;
  const Recipe recipe = load_recipe("split");
  const TeacherTable teachers;
  Pipeline pipeline(recipe, 1, teachers);
  FileSource source(*folder + "/gsm8k/example_model_solutions.jsonl", {});
  int executed = 0, rows = 0;
  for (int problem = 0; problem < 400; ++problem) {
    auto task = source.next();
    REQUIRE(task);
    for (const TraceRow& row : pipeline.run(std::make_shared<const SourceTask>(std::move(*task)))) {
      ++rows;
      REQUIRE(row.reason != "verdict_disagrees");
      if (row.fate != Fate::kAccepted) continue;
      REQUIRE(check_spans(row.response, row.spans) == std::nullopt);
      if (row.right_at_once) continue;
      CHECK(row.errors.at(0).proof == Proof::kExecuted);
      ++executed;
    }
  }
  CHECK(rows == 1600);
  CHECK(executed > 20);
}

TEST_CASE("marked real mistakes become verified traces") {
  const auto folder = shared_data();
  if (!folder) return;
  const Recipe recipe = load_recipe("split");
  const TeacherTable teachers;
  Pipeline pipeline(recipe, 1, teachers);
  FileSource source(*folder + "/big_bench_mistake/multistep_arithmetic.jsonl", {});
  std::map<Proof, int> proofs;
  while (auto task = source.next()) {
    for (const TraceRow& row : pipeline.run(std::make_shared<const SourceTask>(std::move(*task)))) {
      if (row.fate == Fate::kAccepted && !row.errors.empty()) ++proofs[row.errors[0].proof];
    }
  }
  CHECK(proofs[Proof::kAnnotated] > 100);
}
