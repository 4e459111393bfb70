// reflect-gen as it is run: rows that add up, equal runs, mistakes in flags, recipes and input.
#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <set>

#include "e2e/run_tool.h"
#include "reflect/base/error.h"
#include "reflect/data/record.h"

namespace reflect {
namespace {

using Arguments = std::vector<std::string>;

ToolResult gen(Arguments arguments, const std::string& input = "") {
  arguments.push_back("--quiet");
  return run_tool("reflect-gen", arguments, input);
}

Arguments generated(const std::string& recipe, const std::string& output, Arguments more) {
  Arguments arguments = {"--recipe", recipe, "--teacher.kind", "procedural", "--output", output};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

const char* const kRows =
    "{\"question\": \"3 * 4 + 5?\", \"ground_truth\": \"3 * 4 = <<3*4=12>>12\\n12 + 5 = 17\\nA: "
    "17\","
    " \"slip\": {\"is_correct\": false, \"solution\": \"3 * 4 = 13\\n13 + 5 = 18\\nA: 18\"},"
    " \"good\": {\"is_correct\": true, \"solution\": \"3 * 4 = 12\\nA: 17\"}}\n"
    "not JSON\n"
    "{\"question\": \"1 + 1?\", \"ground_truth\": \"1 + 1 = 2\\nA: 2\","
    " \"lost\": {\"is_correct\": false, \"solution\": \"1 * 1 = 1\\nA: 1\"}}\n";

Json manifest_beside(const std::string& folder) {
  return Json::parse(read_file(folder + "/traces.manifest.json"));
}

std::int64_t sum_of(const Json& counts) {
  std::int64_t sum = 0;
  for (const auto& [name, count] : counts.items()) sum += count.get<std::int64_t>();
  return sum;
}

TEST_CASE("every recipe for generated problems writes exactly the rows that are asked for") {
  for (const std::string recipe : {"inject", "plain"}) {
    const TempFolder folder;
    const std::string output = folder / "traces.jsonl";
    const ToolResult result = gen(generated(
        recipe, output,
        {"--procedural.family", "graph,arithmetic,words,units,sorting", "--procedural.operations",
         "2-5", "--accept", "200", "--set.system_prompt", "Think."}));
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    const std::vector<Record> rows = read_records(output);
    REQUIRE(rows.size() == 200);
    std::set<std::string> ids, families;
    int mistakes = 0;
    for (const Record& row : rows) {
      ids.insert(row.id);
      families.insert(row.other.at("family"));
      CHECK(check_spans(row.response, row.spans) == std::nullopt);
      CHECK(parse_trace(row.response).output == row.answer);
      CHECK(row.messages.front().role == "system");
      CHECK(row.lineage.at("recipe") == recipe);
      CHECK(row.lineage.contains("system_prompt_hash"));
      for (const Span& span : row.spans) mistakes += span.type == SpanType::kError ? 1 : 0;
    }
    CHECK(ids.size() == rows.size());
    CHECK(families.size() == 5);
    CHECK((mistakes > 0) == (recipe == "inject"));
    const Json counts = manifest_beside(folder.path()).at("counts");
    CHECK(counts.at("accepted") == 200);
    CHECK(counts.at("rows") == 200 + sum_of(counts.at("rejected")) + sum_of(counts.at("not_used")));
  }
}

TEST_CASE("equal commands write equal bytes, other seeds others") {
  const TempFolder folder;
  const auto run = [&](const std::string& name, const std::string& seed) {
    const ToolResult result =
        gen(generated("inject", folder / name, {"--count", "50", "--seed", seed}));
    REQUIRE(result.exit_code == 0);
    return read_file(folder / name);
  };
  const std::string first = run("a.jsonl", "4");
  CHECK(first == run("b.jsonl", "4"));
  CHECK(first != run("c.jsonl", "5"));
}

TEST_CASE("recorded solutions: rows, rejects and counts add up") {
  const TempFolder folder;
  const std::string output = folder / "traces.jsonl";
  const ToolResult result =
      gen({"--recipe", "split", "--input", "-", "--output", output, "--set.clean_fraction", "0.5"},
          kRows);
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  const std::vector<Record> rows = read_records(output);
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].variant == "slip");
  CHECK(rows[0].lineage.at("proof") == "executed");
  CHECK(rows[1].variant == "good");
  CHECK(rows[0].group == rows[1].group);
  const Json counts = manifest_beside(folder.path()).at("counts");
  CHECK(counts.at("rows") == 4);
  CHECK(counts.at("rejected").at("bad_row") == 1);
  CHECK(counts.at("rejected").at("locate: unplaced") == 1);
  CHECK(result.out.find("executed") != std::string::npos);

  const std::string rejected = read_file(folder / "traces.rejected.jsonl");
  CHECK(std::count(rejected.begin(), rejected.end(), '\n') == 2);
  CHECK(rejected.find("-:2") != std::string::npos);
}

TEST_CASE("input that ends before enough rows are accepted is exit code 3, with what there is") {
  const TempFolder folder;
  const std::string output = folder / "traces.jsonl";
  const ToolResult result =
      gen({"--recipe", "split", "--input", "-", "--output", output, "--accept", "5"}, kRows);
  CHECK(result.exit_code == 3);
  CHECK(result.err.find("of 5 rows") != std::string::npos);
  CHECK(read_records(output).size() == 1);
}

TEST_CASE("generated problems that do not suffice are told with what makes more") {
  const TempFolder folder;
  const ToolResult result =
      gen(generated("inject", folder / "traces.jsonl", {"--count", "5", "--accept", "9"}));
  INFO(result.err);
  CHECK(result.exit_code == 3);
  CHECK(result.err.find("5 of 9 rows: all 5 generated problems are used; a greater --count") !=
        std::string::npos);
}

TEST_CASE("the two parts of a file share no problem and lose none") {
  const TempFolder folder;
  std::string problems;
  for (int i = 0; i < 100; ++i) {
    const std::string number = std::to_string(i);
    problems += "{\"prompt\": \"What is " + number + " + 0?\", \"answer\": \"" + number + "\"}\n";
  }
  write_file_atomic(folder / "all.jsonl", problems + "no row\n");
  std::set<std::string> seen;
  for (const std::string part : {"train", "eval"}) {
    const ToolResult result =
        gen({"--problems-only", "--input", folder / "all.jsonl", "--split-part", part,
             "--split-fraction", "0.3", "--output", folder / part});
    REQUIRE(result.exit_code == 0);
    const std::vector<Record> rows = read_records(folder / part);
    CHECK(rows.size() > 10);
    const std::string counts = fmt::format(
        "{} problems written, left out: bad_row 1, other_part {}", rows.size(), 100 - rows.size());
    INFO(result.err);
    CHECK(result.err.find(counts) != std::string::npos);
    CHECK(result.err.find("all.jsonl:101") != std::string::npos);
    for (const Record& row : rows) {
      CHECK(row.answer);
      CHECK(seen.insert(row.prompt()).second);
    }
  }
  CHECK(seen.size() == 100);
}

TEST_CASE("problems for evaluation carry their number of steps and the recipe's system prompt") {
  const TempFolder folder;
  const ToolResult result = gen(generated("inject", folder / "problems.jsonl",
                                          {"--problems-only", "--procedural.operations", "4,6,8",
                                           "--count", "30", "--set.system_prompt", "Think."}));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  std::vector<int> by_steps(9);
  for (const Record& row : read_records(folder / "problems.jsonl")) {
    ++by_steps.at(row.other.at("operations").get<std::size_t>());
    CHECK(row.messages.front().content == "Think.");
  }
  CHECK(by_steps[4] == 10);
  CHECK(by_steps[6] == 10);
  CHECK(by_steps[8] == 10);
}

TEST_CASE("recipes are listed") {
  const ToolResult result = gen({"--list-recipes"});
  CHECK(result.exit_code == 0);
  for (const char* name : {"inject", "plain", "reflection", "split", "recycle", "selective",
                           "raspberry", "orca", "s2a", "panel", "own_errors"}) {
    CHECK(result.out.find(name) != std::string::npos);
  }
}

TEST_CASE("a mistake on the command line is exit code 2 and says what to do") {
  const TempFolder folder;
  const std::string output = folder / "traces.jsonl";
  const auto says = [&](const Arguments& arguments, const std::string& expected) {
    const ToolResult result = gen(arguments);
    INFO(result.err);
    CHECK(result.exit_code == 2);
    CHECK(result.err.find(expected) != std::string::npos);
    CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
    CHECK_FALSE(std::filesystem::exists(output));
  };
  says({"--recipe", "inject"}, "--output is missing");
  says({"--output", output}, "--input is missing");
  says({"--output", output, "--input", ""}, "--input has an empty value");
  says({"--output", output, "--input", "-"}, "--recipe is missing: one of inject, orca");
  says(generated("inject", output, {}), "say how many problems");
  says(generated("injekt", output, {"--count", "1"}), "did you mean \"inject\"?");
  says(generated("split", output, {"--count", "1"}), "works with the teachers replay");
  says(generated("inject", output, {"--count", "-1"}), "--count -1");
  says(generated("inject", output, {"--count", "1", "--procedural.family", "grahp"}),
       "did you mean 'graph'?");
  says(generated("inject", output, {"--count", "1", "--procedural.operations", "99"}), "at most");
  says(generated("inject", output, {"--count", "1", "--set.q", "2"}), "q 2");
  says(generated("plain", output, {"--count", "1", "--set.q", "0.5"}), "--set.q");
  says(generated("inject", output, {"--count", "1", "--input", "x"}), "generates its own");
  says({"--recipe", "split", "--output", output, "--input", "-", "--split-fraction", "2"},
       "--split-fraction 2");
  says({"--recipe", "orca", "--output", output, "--input", "-"},
       "works with the teachers local, openai");
  says({"--recipe", "orca", "--output", output, "--input", "-", "--teacher.kind", "local"},
       "needs --teacher.model");
  says({"--recipe", "split", "--output", output, "--input", "-", "--shard", "2/2"},
       "--shard 2/2 is not");
  says({"--recipe", "split", "--output", output, "--input", "-", "--attempts", "0"},
       "--attempts 0");
  says({"--recipe", "split", "--output", output, "--input", "-", "--budget.usd", "-1"},
       "--budget.usd -1");
  says({"--recipe", "own_errors", "--output", output, "--teacher.kind", "local"},
       "say how many problems");
  says({"--recipy", "split"}, "did you mean \"--recipe\"?");
}

TEST_CASE("a missing or broken input is exit code 1 and leaves no output") {
  const TempFolder folder;
  const std::string output = folder / "traces.jsonl";
  const Arguments arguments = {"--recipe", "split", "--output", output, "--input"};
  const auto fails = [&](const std::string& input, const std::string& expected) {
    Arguments all = arguments;
    all.push_back(input);
    const ToolResult result = gen(all);
    INFO(result.err);
    CHECK(result.exit_code == 1);
    CHECK(result.err.find(expected) != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(output));
  };
  fails(folder / "missing.jsonl", "missing.jsonl");

  const std::string packed = folder / "rows.jsonl.gz";
  AtomicWriter writer(packed);
  std::string many;
  for (int i = 0; i < 200; ++i) many += kRows;
  writer.write(many);
  writer.commit();
  const std::string bytes = read_file(packed);
  write_file_atomic(folder / "cut", bytes.substr(0, bytes.size() / 2));
  fails(folder / "cut", "cut");
}

}  // namespace
}  // namespace reflect
