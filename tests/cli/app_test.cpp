#include "reflect/cli/app.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <new>
#include <stdexcept>
#include <thread>

#include "capture.h"
#include "reflect/base/runtime.h"
#include "reflect/base/signals.h"

using namespace reflect;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

struct LoraConfig {
  std::int64_t rank = 16;
  void visit(auto& v) { v("rank", rank, "Rank of the update."); }
};

struct ArmConfig {
  std::string name;
  void visit(auto& v) { v("name", name, "Name."); }
};

struct ToolConfig {
  RuntimeConfig runtime;
  std::string input;
  std::string kind = "lora";
  std::vector<std::string> stop;
  bool explain = true;
  LoraConfig lora;
  std::vector<ArmConfig> arms;
  void visit(auto& v) {
    runtime.visit(v);
    v("input", input, "Input file.");
    v("kind", kind, "What is trained.", {"lora", "full"});
    v("stop", stop, "Stop texts.");
    v("explain", explain, "Explain.");
    v("lora", lora, "Low-rank update.");
    v("arms", arms, "What is compared.");
  }
};

struct Outcome {
  int code = -1;
  bool ran = false;
  ToolConfig config;
  std::string out, err;
};

// Runs a tool with `job` and the given flags.
Outcome run_with(
    const std::vector<std::string>& flags,
    const std::function<ExitCode()>& job = [] { return ExitCode::kDone; }) {
  Outcome outcome;
  std::vector<std::string> words = {"reflect-demo"};
  words.insert(words.end(), flags.begin(), flags.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  const AppInfo info = {"reflect-demo", "Shows the app.", "  reflect-demo --input x"};
  outcome.out = output_of(STDOUT_FILENO, [&] {
    outcome.err = output_of(STDERR_FILENO, [&] {
      const auto run = [&] {
        outcome.ran = true;
        return job();
      };
      outcome.code = run_app(static_cast<int>(argv.size()), argv.data(), info,
                             {fields_of(outcome.config), run});
    });
  });
  return outcome;
}

std::string error_of(const std::vector<std::string>& flags) {
  const Outcome outcome = run_with(flags);
  CHECK(outcome.code == 2);
  CHECK_FALSE(outcome.ran);
  CHECK(outcome.out.empty());
  CHECK(std::count(outcome.err.begin(), outcome.err.end(), '\n') == 1);
  return outcome.err;
}

}  // namespace

TEST_CASE("exit codes are frozen") {
  const auto code_of = [](const std::function<ExitCode()>& job) { return run_with({}, job).code; };
  CHECK(code_of([] { return ExitCode::kDone; }) == 0);
  CHECK(code_of([] { return ExitCode::kFailed; }) == 1);
  CHECK(code_of([] { return ExitCode::kIncomplete; }) == 3);
  CHECK(code_of([]() -> ExitCode { fail("op", "x"); }) == 1);
  CHECK(code_of([]() -> ExitCode { fail_usage("op", "x"); }) == 2);
  CHECK(code_of([]() -> ExitCode { throw std::bad_alloc(); }) == 1);
  CHECK(code_of([]() -> ExitCode { throw std::runtime_error("x"); }) == 1);
  CHECK(run_with({"--help"}).code == 0);
  CHECK(run_with({"--version"}).code == 0);
  CHECK(run_with({"--print-config"}).code == 0);
  CHECK(run_with({"--unknown"}).code == 2);

  // A signal does not change the code of a run that was done anyway.
  CHECK(code_of([] {
          ::kill(::getpid(), SIGTERM);
          while (signal_received() != SIGTERM) std::this_thread::yield();
          return ExitCode::kDone;
        }) == 0);
  CHECK(code_of([] { return ExitCode::kIncomplete; }) == 128 + SIGTERM);
}

TEST_CASE("what a job throws becomes one line") {
  const auto line_of = [](const std::function<ExitCode()>& job) { return run_with({}, job).err; };
  CHECK(line_of([]() -> ExitCode { fail("score", "row {}: bad", 7); }) ==
        "reflect-demo: [score] row 7: bad\n");
  CHECK(line_of([]() -> ExitCode { throw std::runtime_error("a\nb"); }) ==
        "reflect-demo: [unexpected] a\n");
  const std::string memory = "reflect-demo: [memory] out of memory; ";
  CHECK_THAT(line_of([]() -> ExitCode { throw std::bad_alloc(); }), StartsWith(memory));
  CHECK_THAT(line_of([] {
               at::empty({std::int64_t{1} << 55});
               return ExitCode::kDone;
             }),
             StartsWith(memory));
  const std::string shapes = line_of([] {
    at::matmul(at::empty({2, 3}), at::empty({4, 5}));
    return ExitCode::kDone;
  });
  CHECK_THAT(shapes, StartsWith("reflect-demo: [libtorch] mat1 and mat2 shapes"));
  CHECK(std::count(shapes.begin(), shapes.end(), '\n') == 1);
}

TEST_CASE("flags set every kind of field") {
  const Outcome outcome = run_with({"--seed", "-3", "--input", "-", "--kind=full", "--stop", "a,b",
                                    "--quiet", "--explain", "false", "--lora.rank", "8"});
  CHECK(outcome.err == "");
  REQUIRE(outcome.ran);
  CHECK(outcome.config.runtime.seed == -3);
  CHECK(outcome.config.input == "-");
  CHECK(outcome.config.kind == "full");
  CHECK(outcome.config.stop == std::vector<std::string>{"a", "b"});
  CHECK(outcome.config.runtime.quiet);
  CHECK_FALSE(outcome.config.explain);
  CHECK(outcome.config.lora.rank == 8);
}

TEST_CASE("flags with odd values") {
  CHECK_THAT(error_of({"--input", ""}), Contains("--input has an empty value"));
  CHECK_THAT(error_of({"--input=", "--seed", "3"}), Contains("--input has an empty value"));
  const TempFolder folder;  // what a file says can be taken back
  write_file_atomic(folder / "run.yaml", "input: there\n");
  CHECK(run_with({"--config", folder / "run.yaml", "--input", ""}).config.input == "");
  CHECK(run_with({"--input", "--looks-like-a-flag"}).config.input == "--looks-like-a-flag");
  CHECK(run_with({"--input=a=b"}).config.input == "a=b");
  CHECK(run_with({"--input", "[a,b]"}).config.input == "[a,b]");
  CHECK(run_with({"--input", "\xe6\x97\xa5 \"'"}).config.input == "\xe6\x97\xa5 \"'");
  const Outcome apart = run_with({"--stop", "a", "b,c", "d", "--input", "x"});
  CHECK(apart.config.stop == std::vector<std::string>{"a", "b", "c", "d"});
  CHECK(apart.config.input == "x");
  CHECK(run_with({"--input", "x", "y"}).code == 2);  // not a list
  CHECK(run_with({"--stop", "[a,b]"}).config.stop == std::vector<std::string>{"[a", "b]"});
  CHECK(run_with({"--quiet=false"}).config.runtime.quiet == false);
  CHECK(run_with({"--quiet", "--seed", "3"}).config.runtime.quiet);
  CHECK(run_with({"--seed", "1", "--seed", "2"}).config.runtime.seed == 2);
}

TEST_CASE("a list given in several flags holds them all") {
  CHECK(run_with({"--stop", "a,b", "--stop", "c"}).config.stop ==
        std::vector<std::string>{"a", "b", "c"});
  CHECK(run_with({"--stop=a"}).config.stop == std::vector<std::string>{"a"});
}

TEST_CASE("a flag's words may be joined by dashes or underscores") {
  const Outcome outcome = run_with({"--log_level", "error", "--lora.rank=4"});
  CHECK(outcome.err == "");
  CHECK(outcome.config.runtime.log_level == "error");
}

TEST_CASE("a flag wins over the file, the file over the default") {
  const TempFolder folder;
  write_file_atomic(folder / "run.yaml",
                    "input: from-file\nlora: {rank: 4}\nkind: full\narms: [{name: a}]\n");
  const Outcome outcome = run_with({"--lora.rank", "2", "--config", folder / "run.yaml"});
  REQUIRE(outcome.ran);
  CHECK(outcome.config.input == "from-file");
  CHECK(outcome.config.kind == "full");
  CHECK(outcome.config.lora.rank == 2);
  CHECK(outcome.config.arms.size() == 1);
  CHECK(outcome.config.runtime.dtype == "auto");
}

TEST_CASE("what --print-config prints is a --config file") {
  const TempFolder folder;
  const Outcome printed = run_with({"--print-config", "--seed", "9", "--stop", "a,b"});
  CHECK_FALSE(printed.ran);
  write_file_atomic(folder / "run.yaml", printed.out);
  CHECK(run_with({"--print-config", "--config", folder / "run.yaml"}).out == printed.out);
}

TEST_CASE("help shows groups, choices, defaults, lists and examples") {
  const std::string help = run_with({"--help"}).out;
  CHECK_THAT(help, Contains("Shows the app."));
  CHECK_THAT(help, Contains("--kind lora|full") && Contains("What is trained. [lora]"));
  CHECK_THAT(help, Contains("Settings of lora:") && Contains("--lora.rank INT"));
  CHECK_THAT(help, Contains("Lists, only in the file") && Contains("What is compared."));
  CHECK_THAT(help, Contains("Examples:\n  reflect-demo --input x"));
  CHECK(run_with({"-h"}).out == help);
  CHECK_THAT(run_with({"--version"}).out, StartsWith("reflect-demo "));
}

TEST_CASE("mistakes in flags are one line with the remedy") {
  CHECK(error_of({"--sede", "3"}) ==
        "reflect-demo: [flags] unknown flag \"--sede\"; did you mean \"--seed\"?\n");
  CHECK(error_of({"--rank=3"}) ==
        "reflect-demo: [flags] unknown flag \"--rank\"; did you mean \"--lora.rank\"?\n");
  CHECK(error_of({"--banana"}) ==
        "reflect-demo: [flags] unknown flag \"--banana\"; --help lists the known ones\n");
  CHECK_THAT(error_of({"word"}), Contains("\"word\" is not a flag"));
  CHECK_THAT(error_of({"--input"}), Contains("--input"));
  CHECK_THAT(error_of({"--arms", "x"}), Contains("unknown flag \"--arms\""));
  CHECK(error_of({"--seed", "x"}) ==
        "reflect-demo: [config] --seed: \"x\" is not a whole number\n");
  CHECK_THAT(error_of({"--quiet", "perhaps"}), Contains("not true or false"));
  CHECK_THAT(error_of({"--kind", "lor"}), Contains("did you mean \"lora\"?"));
  CHECK_THAT(error_of({"--config", "/no/such.yaml"}), Contains("/no/such.yaml"));
  CHECK_THAT(error_of({"--device", "tpu"}), Contains("cpu, cuda"));
}
