// reflect-gen as several processes that decode together, wherever its teachers lie.
#include <spdlog/fmt/fmt.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>

#include "dist/ranks.h"
#include "e2e/own_errors.h"
#include "e2e/processes.h"

namespace reflect {
namespace {

using Arguments = std::vector<std::string>;

const std::string kDemo = std::string(REFLECT_SOURCE_DIR) + "/data/demo/model";

constexpr std::uintmax_t kEmptyStore = 28 << 10;

// Greedy and in fp32: what another sum of rounding errors does not change. Small batches, so that
// a run has many groups of requests.
Arguments greedy(const Arguments& more) {
  Arguments all = {
      "--dtype", "fp32", "--teacher.sampling.temperature", "0", "--teacher.engine.max_batch_rows",
      "2"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

// One run's files in a folder of their own.
struct GenRun {
  Arguments arguments(const Arguments& more) const {
    return own_errors(folder / "traces.jsonl", greedy(more));
  }
  ToolResult operator()(const Arguments& more) const {
    const ToolResult result = run_tool("reflect-gen", arguments(more));
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    CHECK(result.out.find("accepted") != result.out.npos);
    CHECK(result.out.find("accepted") == result.out.rfind("accepted"));  // one process speaks
    return result;
  }
  // Bytes of the store of replies.
  std::uintmax_t stored() const {
    std::error_code missing;
    const auto size = std::filesystem::file_size(folder / "traces.run/replies.sqlite", missing);
    return missing ? 0 : size;
  }
  TempFolder folder;
};

void check_same_rows(const GenRun& run, const GenRun& expected) {
  for (const char* name : {"traces.jsonl", "traces.rejected.jsonl"})
    CHECK(read_file(run.folder / name) == read_file(expected.folder / name));
}

TEST_CASE("a teacher writes the same wherever it lies, decoded by one process or several") {
  using Place = std::pair<int, std::string>;
  const std::map<std::string, std::vector<Place>> cases = {
      {"dtype", {{1, "shard"}, {1, "offload"}, {2, "replicate"}, {2, "shard"}, {4, "hybrid"}}},
      {"nf4", {{2, "shard"}, {2, "offload"}}}};
  std::map<std::string, std::string> rejected;
  for (const auto& [storage, places] : cases) {
    const Arguments settings = {"--count", "12", "--teacher.base.storage", storage};
    const GenRun whole;
    whole(settings);
    rejected[storage] = read_file(whole.folder / "traces.rejected.jsonl");
    for (const auto& [ranks, placement] : places) {
      CAPTURE(storage, ranks, placement);
      Arguments placed = ranks == 1 ? Arguments{} : job_of(ranks);
      placed.insert(placed.end(), settings.begin(), settings.end());
      placed.insert(placed.end(),
                    {"--teacher.placement", placement, "--teacher.hybrid.group", "2"});
      const GenRun run;
      const ToolResult result = run(placed);
      check_same_rows(run, whole);
      if (placement == "shard")
        CHECK_THAT(result.err,
                   Catch::Contains(fmt::format("base in shares over {} processes", ranks)));
      if (ranks == 1 && placement == "offload")
        CHECK_THAT(result.err, Catch::Contains("base stays in its files"));
    }
  }
  CHECK(rejected["dtype"] != rejected["nf4"]);
}

TEST_CASE("a writer and a critic that lie differently are both decoded by all processes") {
  const TempFolder folder;
  write_file_atomic(folder / "twice.yaml", R"(teachers: [local]
system_prompt: ""
steps:
  - ask: {teacher: writer, prompt: "{{problem}}", into: first}
  - ask: {teacher: critic, prompt: "{{problem}}", into: second}
  - require: {that: first is second}
)");
  const auto generate = [&](int ranks) {
    const std::string name = std::to_string(ranks);
    write_file_atomic(folder / name + ".yaml", fmt::format(R"(recipe: {0}/twice.yaml
output: {0}/{1}.jsonl
count: 10
teacher: {{name: writer, kind: local, model: {2}, placement: shard,
          sampling: {{temperature: 0, max_new_tokens: 60}}, engine: {{max_batch_rows: 2}}}}
teachers:
  - {{name: critic, kind: local, model: {2}, placement: offload, base: {{storage: nf4}},
     sampling: {{temperature: 0, max_new_tokens: 60}}, engine: {{max_batch_rows: 3}}}}
procedural: {{operations: 3-4}}
dtype: fp32
threads: 1
quiet: true
launch: {{nproc: {1}}}
)",
                                                           folder.path(), ranks, kDemo));
    const ToolResult result = run_tool("reflect-gen", {"--config", folder / name + ".yaml"});
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    return read_file(folder / name + ".jsonl") + read_file(folder / name + ".rejected.jsonl");
  };
  const std::string rows = generate(1);
  CHECK_THAT(rows, Catch::Contains("\"first\"") && Catch::Contains("\"second\""));
  CHECK(generate(2) == rows);
}

// A run of two processes with replies in its store, and the same run by one.
struct GenJob {
  explicit GenJob(const std::string& placement)
      : tool("reflect-gen",
             run.arguments(job_of(2, {"--count", "100", "--teacher.placement", placement}))) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(5);
    while (run.stored() <= kEmptyStore && std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  // The same command by one process keeps what there is.
  void check_resumed() const {
    const ToolResult resumed = run({"--count", "100"});
    CHECK_THAT(resumed.err, Catch::Contains("replies of earlier runs are in the run store"));
    check_same_rows(run, whole);
  }
  GenRun whole, run;
  ToolResult alone = whole({"--count", "100"});  // before the others start
  Tool tool;
};

TEST_CASE("a killed process ends the generation of all, and one process goes on to the same rows") {
  const std::string placement = GENERATE("shard", "replicate");
  CAPTURE(placement);
  GenJob job(placement);
  result_of_killed_rank(job.tool);
  job.check_resumed();
}

TEST_CASE("a signal to one of the processes that generate ends all, and replies are kept") {
  const std::string placement = GENERATE("shard", "replicate");
  CAPTURE(placement);
  GenJob job(placement);
  const std::vector<pid_t> processes = children_of(job.tool.pid());
  ::kill(processes.at(1), SIGTERM);
  const ToolResult result = job.tool.wait();
  INFO(result.err);
  CHECK(result.exit_code == 128 + SIGTERM);
  CHECK(result.err.find("died") == std::string::npos);
  CHECK(result.err.find("[rank 1]") == std::string::npos);
  CHECK(all_gone(processes));
  job.check_resumed();
}

TEST_CASE("of several processes one does what no model here is asked for") {
  const GenRun alone, several;
  const Arguments inject = {"--recipe", "inject", "--teacher.kind", "procedural", "--count", "30"};
  alone(inject);
  const ToolResult result = several(job_of(2, inject));
  check_same_rows(several, alone);
  CHECK_THAT(result.err, Catch::Contains("of 2 processes one does all the work"));
  const ToolResult recipes = run_tool("reflect-gen", job_of(2, {"--list-recipes"}));
  CHECK(recipes.exit_code == 0);
  CHECK(recipes.out == run_tool("reflect-gen", {"--list-recipes"}).out);
}

// Sets variables of the environment while it lives.
class Variables {
 public:
  void set(const std::string& name, const std::string& value) {
    ::setenv(name.c_str(), value.c_str(), 1);
    names_.push_back(name);
  }
  ~Variables() {
    for (const std::string& name : names_) ::unsetenv(name.c_str());
  }

 private:
  Arguments names_;
};

// A part of the problems each, as from a batch script that makes one job of all its processes.
TEST_CASE("processes of a job that were given different work say so instead of leaving it undone") {
  const std::string what = GENERATE("traces", "problems", "traces of a local teacher");
  CAPTURE(what);
  const GenRun run;
  Variables job;
  job.set("WORLD_SIZE", "2");
  job.set("MASTER_PORT", std::to_string(free_port()));
  std::vector<std::unique_ptr<Tool>> tools;
  for (const std::string rank : {"0", "1"}) {
    Arguments arguments = {"--shard",  rank + "/2",
                           "--output", run.folder / rank + ".jsonl",
                           "--count",  "4",
                           "--quiet",  "--launch.timeout",
                           "60",       "--teacher.kind"};
    if (what == "traces of a local teacher") {
      arguments.insert(arguments.end(),
                       {"local", "--recipe", "own_errors", "--teacher.model", kDemo});
    } else {
      arguments.insert(arguments.end(), {"procedural", "--recipe", "inject"});
    }
    if (what == "problems") arguments.emplace_back("--problems-only");
    job.set("RANK", rank);
    tools.push_back(std::make_unique<Tool>("reflect-gen", arguments));
  }
  for (const auto& tool : tools) {
    const ToolResult result = tool->wait();
    INFO(result.err);
    CHECK(result.exit_code == 1);
    CHECK_THAT(result.err, Catch::Contains("all ranks must run the same command"));
  }
}

TEST_CASE("an error of the process that speaks ends the others at once, without words of theirs") {
  const GenRun run;
  const auto begin = std::chrono::steady_clock::now();
  const ToolResult result =
      run_tool("reflect-gen", run.arguments(job_of(2, {"--input", run.folder / "missing.jsonl"})));
  INFO(result.err);
  CHECK(result.exit_code == 1);
  CHECK_THAT(result.err, Catch::Contains("missing.jsonl: No such file"));
  CHECK(result.err.find("[rank 1]") == std::string::npos);
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(50));  // of 60
}

}  // namespace
}  // namespace reflect
