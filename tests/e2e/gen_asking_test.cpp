// reflect-gen with the engine as its teacher: the model's own mistakes, runs that are killed and go
// on, exact numbers of rows, budgets, shards, previews.
#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <set>
#include <thread>

#include "e2e/own_errors.h"
#include "reflect/base/random.h"
#include "reflect/data/record.h"

namespace reflect {
namespace {

using Arguments = std::vector<std::string>;

ToolResult gen(const Arguments& arguments) {
  return run_tool("reflect-gen", arguments);
}

Json counts_beside(const std::string& folder) {
  return Json::parse(read_file(folder + "/traces.manifest.json")).at("counts");
}

TEST_CASE("a model's own mistakes become verified traces, exactly as many as asked for") {
  const TempFolder folder;
  const std::string output = folder / "traces.jsonl";
  const ToolResult result =
      gen(own_errors(output, {"--accept", "20", "--teacher.samples", "2", "--attempts", "3"}));
  INFO(result.err << result.out);
  REQUIRE(result.exit_code == 0);
  const std::vector<Record> rows = read_records(output);
  REQUIRE(rows.size() == 20);
  std::set<std::string> ids;
  int mistakes = 0;
  for (const Record& row : rows) {
    ids.insert(row.id);
    CHECK(check_spans(row.response, row.spans) == std::nullopt);
    CHECK(parse_trace(row.response).output == row.answer);
    CHECK(row.lineage.at("teacher") == "local model");
    mistakes += row.lineage.at("proof") == "executed" ? 1 : 0;
  }
  CHECK(ids.size() == 20);
  CHECK(mistakes >= 18);  // at most a tenth is right at once
  CHECK(std::filesystem::exists(folder / "traces.run/replies.sqlite"));
  const Json replies = Json::parse(read_file(folder / "traces.manifest.json")).at("replies");
  CHECK(replies.at("completion_tokens") > 100);
}

TEST_CASE("a run that is killed at any instant goes on and writes the same bytes") {
  const TempFolder folder;
  const Arguments settings = {"--count", "120", "--teacher.samples", "2"};
  const auto begin = std::chrono::steady_clock::now();
  REQUIRE(gen(own_errors(folder / "whole.jsonl", settings)).exit_code == 0);
  const auto time = std::chrono::steady_clock::now() - begin;

  Random random(7, "kill");
  int killed = 0;
  for (int i = 0; i < 6; ++i) {
    Tool tool("reflect-gen", own_errors(folder / "cut.jsonl", settings));
    std::this_thread::sleep_for(time * random.uniform());
    tool.send(SIGKILL);
    killed += tool.wait().exit_code == 128 + SIGKILL ? 1 : 0;
  }
  CHECK(killed > 0);
  const ToolResult last = gen(own_errors(folder / "cut.jsonl", settings));
  INFO(last.err);
  REQUIRE(last.exit_code == 0);
  CHECK(read_file(folder / "cut.jsonl") == read_file(folder / "whole.jsonl"));
  CHECK(read_file(folder / "cut.rejected.jsonl") == read_file(folder / "whole.rejected.jsonl"));

  // All replies are there now, so a further run asks for none and writes the same again.
  const std::string before = read_file(folder / "cut.jsonl");
  std::filesystem::remove(folder / "cut.jsonl");
  REQUIRE(gen(own_errors(folder / "cut.jsonl", settings)).exit_code == 0);
  CHECK(read_file(folder / "cut.jsonl") == before);
}

TEST_CASE("a budget ends a run before it is passed, and a greater one goes on") {
  const TempFolder folder;
  const std::string output = folder / "traces.jsonl";
  const Arguments settings = {"--count", "60"};
  Arguments limited = settings;
  limited.insert(limited.end(), {"--budget.tokens", "1500"});
  const ToolResult result = gen(own_errors(output, limited));
  INFO(result.err);
  CHECK(result.exit_code == 3);
  CHECK(result.err.find("the budget ended") != std::string::npos);
  const Json replies = Json::parse(read_file(folder / "traces.manifest.json")).at("replies");
  const std::int64_t spent = replies.at("prompt_tokens").get<std::int64_t>() +
                             replies.at("completion_tokens").get<std::int64_t>();
  CHECK(spent <= 1500);
  CHECK(spent > 1000);
  const std::size_t before = read_records(output).size();
  CHECK(counts_beside(folder.path()).at("not_used").at("budget_ended") > 0);
  REQUIRE(gen(own_errors(output, settings)).exit_code == 0);
  CHECK(read_records(output).size() > before);
}

TEST_CASE("shards are disjoint and together everything") {
  const TempFolder folder;
  const auto problems_of = [&](const std::string& shard, const std::string& written) {
    Arguments settings = {"--recipe",
                          "inject",
                          "--teacher.kind",
                          "procedural",
                          "--count",
                          "100",
                          "--quiet",
                          "--set.system_prompt",
                          "",
                          "--output",
                          folder / "rows.jsonl",
                          "--shard",
                          shard};
    const ToolResult result = gen(settings);
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    std::multiset<std::string> rows;
    for (const Record& row : read_records(folder / written)) rows.insert(row.id);
    return rows;
  };
  const auto all = problems_of("auto", "rows.jsonl");
  std::multiset<std::string> joined;
  for (const std::string shard : {"0", "1", "2"}) {
    const auto part = problems_of(shard + "/3", "rows-0000" + shard + "-of-00003.jsonl");
    CHECK(part.size() > 15);
    joined.insert(part.begin(), part.end());
  }
  CHECK(joined == all);
}

TEST_CASE("what is asked and what it will cost is said before the run") {
  const TempFolder folder;
  write_file_atomic(folder / "in.jsonl", "{\"prompt\": \"2 + 2?\", \"answer\": \"4\"}\n");
  const ToolResult shown = gen({"--recipe", "s2a", "--teacher.kind", "local", "--input",
                                folder / "in.jsonl", "--show-prompt", "3"});
  INFO(shown.err);
  CHECK(shown.exit_code == 0);
  CHECK(shown.out.find("2 + 2?") != std::string::npos);
  CHECK(shown.out.find("{{context}}") != std::string::npos);

  Arguments arguments = own_errors(folder / "traces.jsonl", {"--count", "200", "--estimate"});
  arguments.insert(arguments.end(), {"--teacher.price.completion", "2"});
  const ToolResult result = gen(arguments);
  INFO(result.err << result.out);
  CHECK(result.exit_code == 0);
  CHECK(result.out.find("20 problems tried") != std::string::npos);
  CHECK(result.out.find("expected for 200 problems") != std::string::npos);
  CHECK(result.out.find("US dollars") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(folder / "traces.jsonl"));
}

}  // namespace
}  // namespace reflect
