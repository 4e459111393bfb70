// reflect-gen with a teacher behind an HTTP endpoint that misbehaves on purpose: right rows under
// every fault, runs that are killed and go on, keys that are not told.
#include <stdlib.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <thread>

#include "e2e/run_tool.h"
#include "net/fault_server.h"
#include "reflect/base/error.h"
#include "reflect/base/random.h"
#include "reflect/data/record.h"

namespace reflect {
namespace {

using Arguments = std::vector<std::string>;

const std::string kKey = "sk-secret-13579-24680";

// `count` problems, and a script of replies with a mistake that is noticed in each.
void write_problems(const TempFolder& folder, int count) {
  std::string problems, script;
  for (int i = 0; i < count; ++i) {
    const int a = 3 + i % 7, b = 4 + i % 5, product = a * b;
    const std::string name = fmt::format("Problem {}:", i);
    const Json problem = {{"prompt", fmt::format("{} what is {} * {} + {}?", name, a, b, i)},
                          {"answer", std::to_string(product + i)}};
    problems += problem.dump() + "\n";
    const std::string reply = fmt::format(
        "<thinking>\n{0} * {1} = {3}\n<reflection>{0} * {1} is {2}, not {3}.</reflection>\n"
        "{0} * {1} = {2}\n{2} + {4} = {5}\n</thinking>\n<output>{5}</output>",
        a, b, product, product + 1, i, product + i);
    script += Json{{"match", name}, {"replies", {reply}}}.dump() + "\n";
  }
  write_file_atomic(folder / "problems.jsonl", problems);
  write_file_atomic(folder / "script.jsonl", script);
}

Arguments asking(const TempFolder& folder, const std::string& url, const std::string& output) {
  return {"--recipe",
          "reflection",
          "--input",
          folder / "problems.jsonl",
          "--output",
          folder / output,
          "--teacher.kind",
          "openai",
          "--teacher.url",
          url,
          "--teacher.model",
          "small",
          "--teacher.key-env",
          "REFLECT_TEST_KEY",
          "--teacher.backoff",
          "0.02",
          "--teacher.max-backoff",
          "0.1",
          "--teacher.timeout",
          "10",
          "--quiet"};
}

// Every file of a folder in one text.
std::string all_bytes(const std::string& folder) {
  std::string bytes;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) bytes += read_file(entry.path().string());
  }
  return bytes;
}

TEST_CASE("an endpoint's traces are the same rows whatever goes wrong on the way") {
  ::setenv("REFLECT_TEST_KEY", kKey.c_str(), 1);
  const TempFolder folder;
  write_problems(folder, 80);
  const FaultServer server({"--script", folder / "script.jsonl"});
  const ToolResult calm = run_tool("reflect-gen", asking(folder, server.url(), "calm.jsonl"));
  INFO(calm.err);
  REQUIRE(calm.exit_code == 0);
  const std::vector<Record> rows = read_records(folder / "calm.jsonl");
  REQUIRE(rows.size() == 80);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    CHECK(rows[i].prompt().starts_with(fmt::format("Problem {}:", i)));
    CHECK(parse_trace(rows[i].response).output == rows[i].answer);
    CHECK(rows[i].lineage.at("proof") == "executed");
  }
  const ToolResult rough =
      run_tool("reflect-gen", asking(folder, server.url("mixed:3"), "rough.jsonl"));
  INFO(rough.err);
  REQUIRE(rough.exit_code == 0);
  CHECK(read_file(folder / "rough.jsonl") == read_file(folder / "calm.jsonl"));
  CHECK(server.told("stats").at("faults").size() > 10);
  CHECK(rough.out.find("tried again: malformed reply") != std::string::npos);
  CHECK(all_bytes(folder.path()).find(kKey) == std::string::npos);
  CHECK(server.told("requests").at(0).at("key") == "Bearer " + kKey);
}

// Three tries of a problem, a vote, a check by worth, and an answer that builds on the vote.
const char* const kVoting =
    "teachers: [openai]\n"
    "steps:\n"
    "  - ask: {prompt: \"{{problem}}\", samples: 3, tags: [output], into: tried}\n"
    "  - vote: {field: output, checker: math, at_least: 0.6}\n"
    "  - check: {field: winner, checker: math}\n"
    "  - ask: {prompt: \"Settled as {{winner}}: {{problem}}\", into: told}\n"
    "  - assemble: {response: \"{{told}}\", lineage: [winner]}\n";

// `count` problems; of the tries two in three are right, in spellings of their own.
void write_votes(const TempFolder& folder, int count) {
  std::string problems, script;
  for (int i = 0; i < count; ++i) {
    const std::string name = fmt::format("Problem {}:", i);
    problems += Json{{"prompt", name + fmt::format(" what is half of {}?", i)},
                     {"answer", fmt::format("\\frac{{{}}}{{2}}", i)}}
                    .dump() +
                "\n";
    const Json tries = {fmt::format("<output>{}/2</output>", i),
                        fmt::format("<output>{}</output>", i / 2.0),
                        fmt::format("<output>{}</output>", i + 1)};
    const std::string settled = "It is half of it. That is certain of " + name;
    script += Json{{"match", fmt::format(": {} what", name)}, {"replies", {settled}}}.dump() + "\n";
    script += Json{{"match", name}, {"replies", tries}}.dump() + "\n";
  }
  write_file_atomic(folder / "problems.jsonl", problems);
  write_file_atomic(folder / "script.jsonl", script);
  write_file_atomic(folder / "voting.yaml", kVoting);
}

TEST_CASE("a run with votes and checks that is killed at fifty instants ends with the same bytes") {
  ::setenv("REFLECT_TEST_KEY", kKey.c_str(), 1);
  constexpr int kProblems = 90, kKills = 50, kInFlight = 4;
  const TempFolder folder;
  write_votes(folder, kProblems);
  const FaultServer server({"--script", folder / "script.jsonl", "--delay", "0.015"});
  const auto run = [&](const std::string& output) {
    Arguments arguments = asking(folder, server.url(), output);
    arguments[1] = folder / "voting.yaml";
    arguments.insert(arguments.end(), {"--teacher.max-in-flight", std::to_string(kInFlight),
                                       "--teacher.price.completion", "2"});
    return arguments;
  };
  const auto begin = std::chrono::steady_clock::now();
  const ToolResult whole = run_tool("reflect-gen", run("whole.jsonl"));
  INFO(whole.err << whole.out);
  REQUIRE(whole.exit_code == 0);
  const auto time = std::chrono::steady_clock::now() - begin;
  const auto requests = [&] { return server.told("stats").at("requests").get<int>(); };
  const int asked = requests();

  Random random(3, "kill");
  int killed = 0, gone_on = 0;
  const auto count_if_gone_on = [&](const ToolResult& result) {
    gone_on += result.err.find("the run goes on behind them") != std::string::npos ? 1 : 0;
  };
  for (int i = 0; i < kKills; ++i) {
    Tool tool("reflect-gen", run("cut.jsonl"));
    // The last one late: behind a checkpoint on a machine, too, that is slow to start programs.
    const double share = i + 1 < kKills ? 0.2 * random.uniform() : 0.6;
    std::this_thread::sleep_for(time * share);
    tool.send(SIGKILL);
    const ToolResult result = tool.wait();
    killed += result.exit_code == 128 + SIGKILL ? 1 : 0;
    count_if_gone_on(result);
  }
  CHECK(killed > 10);
  const ToolResult last = run_tool("reflect-gen", run("cut.jsonl"));
  count_if_gone_on(last);
  CHECK(gone_on > 0);
  INFO(last.err);
  REQUIRE(last.exit_code == 0);
  CHECK(read_records(folder / "whole.jsonl").size() > kProblems / 3);
  CHECK(read_file(folder / "cut.jsonl") == read_file(folder / "whole.jsonl"));
  CHECK(read_file(folder / "cut.rejected.jsonl") == read_file(folder / "whole.rejected.jsonl"));
  CHECK_FALSE(read_file(folder / "cut.rejected.jsonl").empty());
  const Json first = Json::parse(read_file(folder / "whole.manifest.json"));
  const Json second = Json::parse(read_file(folder / "cut.manifest.json"));
  CHECK(first.at("counts") == second.at("counts"));
  CHECK(first.at("replies") == second.at("replies"));
  CHECK(requests() - asked >= asked);
  CHECK(requests() - asked <= asked + killed * kInFlight);  // only those under way are lost
}

TEST_CASE("a run whose budget ends goes on where it was, and changed settings start anew") {
  ::setenv("REFLECT_TEST_KEY", kKey.c_str(), 1);
  const TempFolder folder;
  write_votes(folder, 60);
  const FaultServer server({"--script", folder / "script.jsonl"});
  const auto run = [&](const std::string& output, const Arguments& more) {
    Arguments arguments = asking(folder, server.url(), output);
    arguments[1] = folder / "voting.yaml";
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_tool("reflect-gen", arguments);
  };
  REQUIRE(run("whole.jsonl", {}).exit_code == 0);
  const Arguments sampling = {"--teacher.sampling.max_new_tokens", "100"};
  REQUIRE(run("other.jsonl", sampling).exit_code == 0);

  CHECK(run("cut.jsonl", {"--budget.tokens", "3000"}).exit_code == 3);
  const ToolResult more = run("cut.jsonl", {"--teacher.max-in-flight", "3"});
  INFO(more.err);
  CHECK(more.exit_code == 0);
  CHECK(more.err.find("problems are finished; the run goes on behind them") != std::string::npos);
  CHECK(read_file(folder / "cut.jsonl") == read_file(folder / "whole.jsonl"));
  CHECK(read_file(folder / "cut.rejected.jsonl") == read_file(folder / "whole.rejected.jsonl"));

  std::filesystem::remove_all(folder / "cut.run");
  CHECK(run("cut.jsonl", {"--budget.tokens", "3000"}).exit_code == 3);
  Arguments changed = sampling;
  const ToolResult anew = run("cut.jsonl", changed);
  CHECK(anew.exit_code == 0);
  CHECK(anew.err.find("goes on behind them") == std::string::npos);
  CHECK(read_file(folder / "cut.jsonl") == read_file(folder / "other.jsonl"));
}

TEST_CASE("near duplicates are turned away by the order of the input, whatever comes first") {
  ::setenv("REFLECT_TEST_KEY", kKey.c_str(), 1);
  constexpr int kProblems = 60;
  const TempFolder folder;
  std::string problems, script;
  for (int i = 0; i < kProblems; ++i) {
    const std::string name = fmt::format("Problem {}:", i);
    problems += Json{{"prompt", name + " write something"}}.dump() + "\n";
    const std::string text = fmt::format(
        "The {0}th tale tells how the {0}th king of the land lost his crown and found it "
        "again behind the {0}th door of the old house, near the end of day {1}.",
        i % 20, i);
    script += Json{{"match", name}, {"replies", {text}}}.dump() + "\n";
  }
  write_file_atomic(folder / "problems.jsonl", problems);
  write_file_atomic(folder / "script.jsonl", script);
  write_file_atomic(folder / "tales.yaml",
                    "teachers: [openai]\nsteps:\n  - ask: {prompt: \"{{problem}}\"}\n"
                    "  - require: {field: reply, language: [en]}\n"
                    "  - assemble: {response: \"{{reply}}\"}\n"
                    "  - distinct: {similarity: 0.7, shingle_words: 3}\n");
  const FaultServer server({"--script", folder / "script.jsonl"});
  std::string first;
  for (const auto& [plan, in_flight] : {std::pair("", "1"), {"", "32"}, {"mixed:2", "32"}}) {
    Arguments arguments = asking(folder, server.url(plan), "tales.jsonl");
    arguments[1] = folder / "tales.yaml";
    arguments.insert(arguments.end(), {"--teacher.max-in-flight", in_flight});
    std::filesystem::remove_all(folder / "tales.run");
    const ToolResult result = run_tool("reflect-gen", arguments);
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    CHECK(result.out.find("distinct: near_duplicate") != std::string::npos);
    const std::vector<Record> rows = read_records(folder / "tales.jsonl");
    REQUIRE(rows.size() == 20);
    for (int i = 0; i < 20; ++i) {
      CHECK(rows[static_cast<std::size_t>(i)].prompt().starts_with(fmt::format("Problem {}:", i)));
    }
    if (first.empty()) first = read_file(folder / "tales.jsonl");
    CHECK(read_file(folder / "tales.jsonl") == first);
    CHECK_FALSE(std::filesystem::exists(folder / "tales.run/distinct.part"));
  }

  // A run that goes on behind its checkpoint knows the rows before it.
  const std::string rejected = read_file(folder / "tales.rejected.jsonl");
  write_file_atomic(folder / "bad.jsonl",
                    "{\"match\": \"Problem 45:\", \"replies\": [{\"body\": {}}]}\n" + script);
  const FaultServer bad({"--script", folder / "bad.jsonl"});
  const auto run = [&](const std::string& url) {
    Arguments arguments = asking(folder, url, "tales.jsonl");
    arguments[1] = folder / "tales.yaml";
    return run_tool("reflect-gen", arguments);
  };
  std::filesystem::remove_all(folder / "tales.run");
  CHECK(run(bad.url()).exit_code == 3);
  const ToolResult more = run(server.url());
  INFO(more.err);
  CHECK(more.exit_code == 0);
  CHECK(more.err.find("problems are finished; the run goes on behind them") != std::string::npos);
  CHECK(read_file(folder / "tales.jsonl") == first);
  CHECK(read_file(folder / "tales.rejected.jsonl") == rejected);
}

TEST_CASE("an endpoint that refuses ends the run with its words and without the key") {
  ::setenv("REFLECT_TEST_KEY", kKey.c_str(), 1);
  const TempFolder folder;
  write_problems(folder, 10);
  const FaultServer server;
  const auto fails = [&](const std::string& url, const std::string& expected) {
    const ToolResult result = run_tool("reflect-gen", asking(folder, url, "traces.jsonl"));
    INFO(result.err);
    CHECK(result.exit_code == 1);
    CHECK(result.err.find(expected) != std::string::npos);
    CHECK(result.err.find(kKey) == std::string::npos);
    CHECK_FALSE(std::filesystem::exists(folder / "traces.jsonl"));
  };
  fails(server.url("401-echo:99"), "your key Bearer [key] is wrong");
  fails(server.url("404:99"), "check --teacher.url and --teacher.model");
  fails(server.url("503:99"), "8 attempts");
  CHECK(all_bytes(folder.path()).find(kKey) == std::string::npos);

  ::unsetenv("REFLECT_TEST_KEY");
  const ToolResult keyless = run_tool("reflect-gen", asking(folder, server.url(), "traces.jsonl"));
  CHECK(keyless.exit_code == 2);
  CHECK(keyless.err.find("REFLECT_TEST_KEY, which is not set") != std::string::npos);
}

TEST_CASE("a request that no attempt answers leaves its row out, and the same command asks again") {
  ::setenv("REFLECT_TEST_KEY", kKey.c_str(), 1);
  const TempFolder folder;
  write_problems(folder, 10);
  const std::string good = read_file(folder / "script.jsonl");
  write_file_atomic(folder / "bad.jsonl",
                    "{\"match\": \"Problem 4:\", \"replies\": [{\"body\": {}}]}\n" + good);
  {
    const FaultServer server({"--script", folder / "bad.jsonl"});
    const ToolResult result = run_tool("reflect-gen", asking(folder, server.url(), "traces.jsonl"));
    INFO(result.err);
    CHECK(result.exit_code == 3);
    CHECK(read_records(folder / "traces.jsonl").size() == 9);
  }
  const FaultServer server({"--script", folder / "script.jsonl"});
  const ToolResult result = run_tool("reflect-gen", asking(folder, server.url(), "traces.jsonl"));
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK(read_records(folder / "traces.jsonl").size() == 10);
  CHECK(server.told("stats").at("requests") == 1);
}

}  // namespace
}  // namespace reflect
