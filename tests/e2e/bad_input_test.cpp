// What all five tools say to mistakes: the exit code, and one line that names place and remedy.
#include <catch2/catch.hpp>
#include <filesystem>

#include "e2e/run_tool.h"

using namespace reflect;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
using Arguments = std::vector<std::string>;

namespace {

const std::string kModel = REFLECT_SOURCE_DIR "/tests/golden/model/llama3";

// How a tool is called, with the places of its input and output left open.
struct ToolCase {
  std::string name;
  Arguments fixed;
  std::string input_flag;
  std::string model_flag;  // empty: it runs without a model
  int model_missing = 1;   // exit code where the model's folder is not there

  Arguments arguments(const std::string& input, const std::string& output,
                      const std::string& model = kModel) const {
    Arguments all = fixed;
    const Arguments flags = {input_flag, input,         "--output", output,
                             "--quiet",  "--log-level", "error"};
    all.insert(all.end(), flags.begin(), flags.end());
    if (!model_flag.empty()) all.insert(all.end(), {model_flag, model});
    if (name == "reflect-score") all.insert(all.end(), {"--selected", output + ".kept"});
    return all;
  }
};

const std::vector<ToolCase> kTools = {
    {"reflect-gen", {"--recipe", "reflection", "--teacher.kind", "replay"}, "--input", ""},
    {"reflect-score", {}, "--input", "--model", 2},
    {"reflect-train", {}, "--train", "--model"},
    {"reflect-eval", {}, "--input", "--model", 2},
    {"reflect-merge", {}, "--adapter", "--model"}};

const std::string kGoodRow = R"({"id": "a", "prompt": "What is 1 + 2?", "answer": "3",)"
                             R"( "response": "<output>3</output>"})"
                             "\n";

// Runs a tool that must fail: one line on standard error, starting with the tool's name.
std::string failure_of(const ToolCase& tool, const Arguments& arguments, int exit_code) {
  const ToolResult result = run_tool(tool.name, arguments);
  INFO(tool.name << ": " << result.err);
  CHECK(result.exit_code == exit_code);
  CHECK_THAT(result.err, StartsWith(tool.name + ": ["));
  CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
  return result.err;
}

}  // namespace

TEST_CASE("every tool explains itself") {
  for (const ToolCase& tool : kTools) {
    INFO(tool.name);
    const ToolResult help = run_tool(tool.name, {"--help"});
    CHECK(help.exit_code == 0);
    CHECK(help.err.empty());
    for (const char* flag : {"--config", "--print-config", "--version", "--log-level", "--seed",
                             "--device cpu|cuda", "--dtype", "--quiet", "--output", "Examples:"}) {
      CHECK_THAT(help.out, Contains(flag));
    }
    CHECK_THAT(help.out, Contains(tool.input_flag + " "));
    CHECK_THAT(run_tool(tool.name, {"--version"}).out, StartsWith(tool.name + " "));
  }
}

TEST_CASE("output that cannot be written is a failure") {
  const TempFolder folder;
  for (const std::string arguments : {"--help", "--print-config"}) {
    const std::string command = std::string(REFLECT_BIN_DIR) + "/reflect-train " + arguments +
                                " >/dev/full 2>" + (folder / "err");
    CHECK(WEXITSTATUS(std::system(command.c_str())) == 1);
    CHECK_THAT(read_file(folder / "err"), Contains("No space left"));
  }
}

TEST_CASE("a limit on the size of files is a failure that names the file") {
  const TempFolder folder;
  const std::string merged = folder / "merged";
  const std::string command = fmt::format(
      "ulimit -f 8; exec {0}/reflect-merge --model {1} --adapter {1}/adapter --output {2} >{2}.out "
      "2>&1",
      REFLECT_BIN_DIR, REFLECT_SOURCE_DIR "/tests/golden/model/llama3", merged);
  CHECK(WEXITSTATUS(std::system(command.c_str())) == 1);
  CHECK_THAT(read_file(merged + ".out"), Contains(merged) && Contains("File too large"));
}

TEST_CASE("every tool prints its settings as a file that it reads") {
  const TempFolder folder;
  for (const ToolCase& tool : kTools) {
    INFO(tool.name);
    const ToolResult first = run_tool(tool.name, {"--print-config", "--seed", "77"});
    CHECK(first.exit_code == 0);
    CHECK_THAT(first.out, Contains("seed: 77\n"));
    write_file_atomic(folder / "run.yaml", first.out);
    const ToolResult second =
        run_tool(tool.name, {"--print-config", "--config", folder / "run.yaml"});
    CHECK(second.err.empty());
    CHECK(second.out == first.out);
  }
}

TEST_CASE("a wrong flag is a usage error with the nearest name") {
  for (const ToolCase& tool : kTools) {
    CHECK_THAT(failure_of(tool, {"--outptu", "x"}, 2), Contains("did you mean \"--output\"?"));
    CHECK_THAT(failure_of(tool, {"--seed", "many"}, 2), Contains("\"many\""));
    CHECK_THAT(failure_of(tool, {"--device", "tpu"}, 2), Contains("cpu, cuda"));
  }
}

TEST_CASE("a wrong key in the configuration names file and line") {
  const TempFolder folder;
  write_file_atomic(folder / "run.yaml", "seed: 1\noutptu: x\n");
  for (const ToolCase& tool : kTools) {
    CHECK_THAT(failure_of(tool, {"--config", folder / "run.yaml"}, 2),
               Contains(folder / "run.yaml:2: unknown key \"outptu\"; did you mean \"output\"?"));
    CHECK_THAT(failure_of(tool, {"--config", folder / "none.yaml"}, 2),
               Contains(folder / "none.yaml"));
  }
}

TEST_CASE("a missing required flag is a usage error that names it") {
  for (const ToolCase& tool : kTools) {
    CHECK_THAT(failure_of(tool, {}, 2), Contains("--"));
  }
}

TEST_CASE("a missing input names the file") {
  const TempFolder folder;
  for (const ToolCase& tool : kTools) {
    const std::string line = failure_of(tool, tool.arguments(folder / "none", folder / "out"), 1);
    CHECK_THAT(line, Contains(folder / "none") && Contains("No such file"));
    CHECK_FALSE(std::filesystem::is_regular_file(folder / "out"));
  }
}

TEST_CASE("a truncated compressed input names file and byte") {
  const TempFolder folder;
  for (const std::string name : {"rows.jsonl.gz", "rows.jsonl.zst"}) {
    write_file_atomic(folder / name, kGoodRow);
    const std::string bytes = read_file(folder / name);
    AtomicWriter cut(folder / "cut");
    cut.write(std::string_view(bytes).substr(0, bytes.size() - 6));
    cut.commit();
    for (const ToolCase& tool : kTools) {
      if (tool.name == "reflect-merge") continue;  // reads no rows
      const std::string line = failure_of(tool, tool.arguments(folder / "cut", folder / "out"), 1);
      CHECK_THAT(line, Contains(folder / "cut") &&
                           Contains("ends early at byte " + std::to_string(bytes.size() - 6)));
      CHECK_FALSE(std::filesystem::is_regular_file(folder / "out"));
    }
  }
}

TEST_CASE("a folder without a model names what is missing") {
  const TempFolder folder;
  write_file_atomic(folder / "rows.jsonl", kGoodRow);
  make_folder(folder / "empty");
  make_folder(folder / "broken");
  write_file_atomic(folder / "broken/config.json", "{\"model_type\": \"llama\", ");
  for (const ToolCase& tool : kTools) {
    if (tool.model_flag.empty()) continue;
    const auto with = [&](const std::string& model, int exit_code) {
      const auto arguments = tool.arguments(folder / "rows.jsonl", folder / "out", model);
      return failure_of(tool, arguments, exit_code);
    };
    CHECK_THAT(with(folder / "nowhere", tool.model_missing), Contains(folder / "nowhere"));
    CHECK_THAT(with(folder / "empty", tool.model_missing), Contains(folder / "empty"));
    CHECK_THAT(with(folder / "broken", 1), Contains(folder / "broken"));
  }
}

TEST_CASE("an output that cannot be written is told before the work") {
  const TempFolder folder;
  write_file_atomic(folder / "rows.jsonl", kGoodRow);
  write_file_atomic(folder / "file", "");
  for (const ToolCase& tool : kTools) {
    if (tool.name == "reflect-merge") continue;
    const std::string output = folder / "file/out";
    const int exit_code = tool.name == "reflect-train" ? 1 : 2;  // it makes its folder
    CHECK_THAT(failure_of(tool, tool.arguments(folder / "rows.jsonl", output), exit_code),
               Contains(output));
  }
}
