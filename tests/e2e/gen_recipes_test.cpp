// Each shipped recipe through reflect-gen: with scripted replies over HTTP, and with the demo
// model, which follows no prompt of theirs, so that its rows must be turned away and counted.
#include <stdlib.h>

#include <catch2/catch.hpp>
#include <set>

#include "e2e/run_tool.h"
#include "net/fault_server.h"
#include "reflect/base/error.h"
#include "reflect/data/record.h"

namespace reflect {
namespace {

using Arguments = std::vector<std::string>;

const char* const kPens =
    R"j({"prompt": "A pen costs 3 and paper 5. What do 4 pens and the paper cost?", "answer": "17"})j";
const char* const kColors = R"({"instruction": "Name a color.", "output": "Blue is a color."})";

struct ScriptedRecipe {
  std::string name, input;
  std::vector<std::pair<std::string, std::string>> replies;  // part of the prompt, reply
  std::vector<std::string> variants;                         // of the accepted rows
};

std::vector<ScriptedRecipe> scripted_recipes() {
  const std::string mended =
      "<thinking>\nI count 3 pens. 3 * 3 = 9.\n<reflection>It is 4 pens.</reflection>\n"
      "4 * 3 = 12. 12 + 5 = 17.\n</thinking>\n<output>17</output>";
  const std::string told =
      "<thinking>\nHens have 2 legs, so 3 hens have 3 * 2 = 5 legs.\n<reflection>3 * 2 is "
      "6.</reflection>\n3 * 2 = 6 legs, and I checked it with care this time.\n</thinking>\n"
      "<output>6</output>";
  const std::pair<std::string, std::string> better_question = {
      "<instruction>the better",
      "Thin. <instruction>Compare two colors.</instruction><answer>Red and blue differ.</answer>"};
  return {
      {"reflection",
       kPens,
       {{"noticed a mistake", "<quote>I count 3 pens.</quote>"}, {"A pen costs", mended}},
       {"draw-0"}},
      {"split",
       kPens,
       {{"first one that is wrong", "<quote>Times 4: 8 * 4 = 32.</quote>"},
        {"A student works",
         "<reflection>The paper is bought once.</reflection>\n<continuation>The pens cost 4 * 3 = "
         "12.\nWith the paper it is 12 + 5 = 17.</continuation>\n<final>17</final>"},
        {"A pen costs", "I add the prices: 3 + 5 = 8.\nTimes 4: 8 * 4 = 32.\nA: 32"}},
       {"draw-0"}},
      {"recycle",
       kColors,
       {better_question,
        {"<better_answer>", "Short. <better_answer>Red is warmer than blue.</better_answer>"}},
       {"recorded"}},
      {"selective",
       kColors,
       {better_question,
        {"<answer_a>", "Short. <answer_a>Blue, the color of the sky.</answer_a>"},
        {"<answer_qa>", "Short. <answer_qa>Red is warmer than blue.</answer_qa>"}},
       {"original", "Q", "A", "QA"}},
      {"raspberry",
       kPens,
       {{"train of thought", told},
        {"Which step is the first", "3 * 2 is not 5."},
        {"sound: every step", "sound: 4\ncomplete: 4"},
        {"Claimed answer", "clear: 5\nhard: 4\ncheckable: 5"},
        {"Write a new, hard problem", "<question>Legs of 3 hens?</question> <gold>6</gold>"},
        {"A verifier has looked", "Sorry, it is 6. <output>6</output>"},
        {"Think step by step", "3 * 2 = 5 <output>5</output>"}},
       {"raspberry"}},
      {"orca", kPens, {{"A pen costs", "By recall. <output>17</output>"}}, {"orca"}},
      {"s2a",
       kPens,
       {{"Take out", "<context>A pen is 3.</context><question>4 pens and paper?</question>"},
        {"A pen is 3", "4 * 3 + 5. <output>17</output>"}},
       {"s2a"}},
      {"panel",
       kPens,
       {{"fields of expertise", "1. Arithmetic\n2. Shopping"},
        {"Analyse this", "It costs 17."},
        {"agree with the report", "<vote>Yes.</vote>"},
        {"Answer the question by", "So 17. <output>17</output>"},
        {"Experts have analysed", "A report."}},
       {"panel"}},
  };
}

// The recipe files that docs/recipes.md shows.
std::vector<std::string> documented_recipes() {
  const std::string text = read_file(std::string(REFLECT_SOURCE_DIR) + "/docs/recipes.md");
  constexpr std::string_view kBegin = "```yaml\n", kEnd = "```\n";
  std::vector<std::string> files;
  for (std::size_t at = text.find(kBegin); at != text.npos; at = text.find(kBegin, at)) {
    at += kBegin.size();
    files.push_back(text.substr(at, text.find(kEnd, at) - at));
  }
  return files;
}

// A row that is accepted and one that is not, for each of documented_recipes().
std::vector<ScriptedRecipe> scripted_examples() {
  const std::string nines = R"({"prompt": "What is half of 9?", "answer": "4.5"})",
                    sevens = R"({"prompt": "What is half of 7?", "answer": "\\frac{7}{2}"})",
                    sky = R"({"prompt": "Why is the sky blue?", "answer": "Air scatters it."})",
                    grass = R"({"prompt": "Why is grass green?", "answer": "Chlorophyll."})";
  return {{"judged texts",
           kPens + ("\n" + nines),
           {{"Mark this text", "It is fine.\nsimple: 5\ntrue: 4"},
            {"The answer is 17", "Four pens and the paper cost 17."},
            {"A pen costs", "<output>17</output>"},
            {"half of 9", "<output>5</output>"}},
           {}},
          {"math",
           nines + "\n" + sevens,
           {{"half of 7", "7/2 <output>3.5</output>"}, {"half of 9", "5 <output>5</output>"}},
           {}},
          {"judge",
           sky + "\n" + grass,
           {{"Known answer: Air", "The same.\nverdict: right"},
            {"Known answer: Chl", "Another one.\nverdict: wrong"},
            {"the sky", "<output>Blue is scattered by the air.</output>"},
            {"grass", "<output>It is painted.</output>"}},
           {}}};
}

void check_sum(const std::string& folder) {
  const Json counts = Json::parse(read_file(folder + "/traces.manifest.json")).at("counts");
  std::int64_t sum = counts.at("accepted");
  for (const char* fate : {"rejected", "not_used"}) {
    for (const auto& [reason, count] : counts.at(fate).items()) {
      sum += count.get<std::int64_t>();
      CHECK(reason.find("no_response") == std::string::npos);
    }
  }
  CHECK(counts.at("rows") == sum);
}

// Runs a recipe on the input and the replies of `scripted`.
ToolResult run_scripted(const TempFolder& folder, const std::string& recipe,
                        const ScriptedRecipe& scripted) {
  std::string script;
  for (const auto& [match, reply] : scripted.replies) {
    script += Json{{"match", match}, {"replies", {reply}}}.dump() + "\n";
  }
  write_file_atomic(folder / "script.jsonl", script);
  write_file_atomic(folder / "in.jsonl", scripted.input + "\n");
  const FaultServer server({"--script", folder / "script.jsonl"});
  return run_tool("reflect-gen", {"--recipe", recipe, "--input", folder / "in.jsonl", "--output",
                                  folder / "traces.jsonl", "--teacher.kind", "openai",
                                  "--teacher.url", server.url(), "--teacher.model", "small",
                                  "--teacher.key-env", "REFLECT_TEST_KEY", "--quiet"});
}

TEST_CASE("every recipe that asks makes its rows of an endpoint's replies") {
  ::setenv("REFLECT_TEST_KEY", "sk-test", 1);
  for (const ScriptedRecipe& recipe : scripted_recipes()) {
    INFO(recipe.name);
    const TempFolder folder;
    const ToolResult result = run_scripted(folder, recipe.name, recipe);
    INFO(result.err << result.out);
    REQUIRE(result.exit_code == 0);
    std::vector<std::string> variants;
    for (const Record& row : read_records(folder / "traces.jsonl")) {
      variants.push_back(row.variant);
      CHECK(row.lineage.at("recipe") == recipe.name);
      if (!row.spans.empty()) CHECK_FALSE(check_spans(row.response, row.spans).has_value());
    }
    CHECK(variants == recipe.variants);
    check_sum(folder.path());
  }
}

TEST_CASE("the recipe files of the documentation accept what they shall and nothing else") {
  ::setenv("REFLECT_TEST_KEY", "sk-test", 1);
  const std::vector<std::string> files = documented_recipes();
  const std::vector<ScriptedRecipe> examples = scripted_examples();
  REQUIRE(files.size() == examples.size());
  for (std::size_t i = 0; i < files.size(); ++i) {
    INFO(examples[i].name);
    const TempFolder folder;
    write_file_atomic(folder / "example.yaml", files[i]);
    const ToolResult result = run_scripted(folder, folder / "example.yaml", examples[i]);
    INFO(result.err << result.out);
    REQUIRE(result.exit_code == 0);
    CHECK(read_records(folder / "traces.jsonl").size() == 1);
    const Json counts = Json::parse(read_file(folder / "traces.manifest.json")).at("counts");
    CHECK(counts.at("rejected") == Json{{"check: wrong_answer", 1}});
    check_sum(folder.path());
  }
}

TEST_CASE("every recipe runs with the demo model to the end, and its rows add up") {
  for (const ScriptedRecipe& recipe : scripted_recipes()) {
    INFO(recipe.name);
    const TempFolder folder;
    write_file_atomic(folder / "in.jsonl", recipe.input + "\n" + kPens + "\n");
    const ToolResult result = run_tool(
        "reflect-gen", {"--recipe", recipe.name, "--input", folder / "in.jsonl", "--output",
                        folder / "traces.jsonl", "--teacher.kind", "local", "--teacher.model",
                        std::string(REFLECT_SOURCE_DIR) + "/data/demo/model",
                        "--teacher.sampling.max_new_tokens", "16", "--threads", "1", "--quiet"});
    INFO(result.err << result.out);
    CHECK(result.exit_code == 0);
    check_sum(folder.path());
    CHECK(Json::parse(read_file(folder / "traces.manifest.json")).at("replies").at("replies") > 0);
  }
}

}  // namespace
}  // namespace reflect
