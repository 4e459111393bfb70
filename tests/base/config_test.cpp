#include "reflect/base/config.h"

#include <catch2/catch.hpp>

#include "reflect/base/error.h"
#include "reflect/base/file.h"
#include "temp_folder.h"

using namespace reflect;
using Catch::Matchers::Contains;

namespace {

struct Schedule {
  std::string kind = "cosine";
  double warmup_ratio = 0.03;
  void visit(auto& v) {
    v("kind", kind, "Shape.", {"cosine", "linear", "constant"});
    v("warmup_ratio", warmup_ratio, "Part of the steps.");
  }
};

struct Optimizer {
  double lr = 2e-4;
  Schedule schedule;
  void visit(auto& v) {
    v("lr", lr, "Peak learning rate.");
    v("schedule", schedule, "Schedule.");
  }
};

struct Arm {
  std::string name;
  bool greedy = true;
  Schedule schedule;
  void visit(auto& v) {
    v("name", name, "Name.");
    v("greedy", greedy, "Greedy.");
    v("schedule", schedule, "Schedule.");
  }
};

struct Config {
  std::int64_t seed = 0;
  bool quiet = false;
  std::string input;
  std::vector<std::string> stop;
  Optimizer optimizer;
  std::vector<Arm> arms;
  void visit(auto& v) {
    v("seed", seed, "Seed.");
    v("quiet", quiet, "No progress line.");
    v("input", input, "Input file.");
    v("stop", stop, "Stop texts.");
    v("optimizer", optimizer, "Optimizer.");
    v("arms", arms, "Arms.");
  }
};

struct Both {
  std::vector<std::string> rows = {"a"};
  std::int64_t every = 1;
  void visit(auto& v) {
    v("rows", rows, "Rows.");
    v("rows.every", every, "Steps.");
  }
};

// What reading `yaml` as run.yaml says; empty where it is accepted. Also checks the exit code.
std::string error_of(const std::string& yaml) {
  const TempFolder folder;
  write_file_atomic(folder / "run.yaml", yaml);
  Config config;
  auto fields = fields_of(config);
  try {
    read_yaml(folder / "run.yaml", fields);
  } catch (const Error& error) {
    CHECK(error.exit_code() == ExitCode::kUsage);
    const std::string text = error.what();
    const std::size_t at = text.find(folder.path());
    REQUIRE(at != std::string::npos);
    return text.substr(at + folder.path().size() + 1);
  }
  return "";
}

void read(const std::string& yaml, Config& config) {
  const TempFolder folder;
  write_file_atomic(folder / "run.yaml", yaml);
  auto fields = fields_of(config);
  read_yaml(folder / "run.yaml", fields);
}

std::string flag_error(const std::string& path, const std::string& text) {
  Config config;
  for (Field& field : fields_of(config)) {
    if (field.path != path) continue;
    try {
      set_from_text(field, text, "--" + path);
    } catch (const Error& error) {
      return error.what();
    }
  }
  return "";
}

}  // namespace

TEST_CASE("fields come depth first with dotted paths") {
  Config config;
  std::vector<std::string> paths;
  for (const Field& field : fields_of(config)) paths.push_back(field.path);
  CHECK(paths == std::vector<std::string>{"seed", "quiet", "input", "stop", "optimizer.lr",
                                          "optimizer.schedule.kind",
                                          "optimizer.schedule.warmup_ratio", "arms"});
}

TEST_CASE("a file sets what it names and leaves the rest") {
  Config config;
  read(R"(
seed: -7
quiet: true
input: "a # b.jsonl"   # a comment
stop: ["</output>", "a,b"]
optimizer:
  lr: 1e-5
  schedule:
optimizer.schedule.kind: linear
arms:
  - name: base
  - name: tuned
    greedy: false
    schedule: {kind: constant}
)",
       config);
  CHECK(config.seed == -7);
  CHECK(config.quiet);
  CHECK(config.input == "a # b.jsonl");
  CHECK(config.stop == std::vector<std::string>{"</output>", "a,b"});
  CHECK(config.optimizer.lr == 1e-5);
  CHECK(config.optimizer.schedule.kind == "linear");
  CHECK(config.optimizer.schedule.warmup_ratio == 0.03);
  REQUIRE(config.arms.size() == 2);
  CHECK(config.arms[0].name == "base");
  CHECK(config.arms[0].greedy);
  CHECK(config.arms[1].name == "tuned");
  CHECK_FALSE(config.arms[1].greedy);
  CHECK(config.arms[1].schedule.kind == "constant");
}

TEST_CASE("a list in the file replaces the default") {
  Config config;
  config.arms.resize(3);
  config.stop = {"x"};
  read("arms: [{name: only}]\nstop: a,b\n", config);
  REQUIRE(config.arms.size() == 1);
  CHECK(config.arms[0].name == "only");
  CHECK(config.stop == std::vector<std::string>{"a", "b"});
}

TEST_CASE("what to_yaml writes reads back equal") {
  Config config;
  config.seed = INT64_MIN;
  config.quiet = true;
  config.stop = {"",  "a,b", "\n\t\"\\", "- x", "null", "\xe6\x97\xa5\xe6\x9c\xac",
                 "#", ": ",  "yes"};
  config.optimizer.lr = 0.1 + 0.2;
  config.optimizer.schedule.warmup_ratio = 5e-324;
  config.arms = {{"one", false, {"linear", 1e300}}, {"", true, {}}};
  const std::vector<std::string> inputs = {
      "",     "data/a.jsonl", "-",   "~",      "null",   "...", "---", " padded ", "a: b",
      "1e-4", "true",         "'q'", "[a, b]", "{a: b}", "&a",  "*a",  "!x",       "\x01"};
  for (const std::string& input : inputs) {
    INFO(input);
    config.input = input;
    const std::string yaml = to_yaml(fields_of(config));
    Config back;
    read(yaml, back);
    CHECK(back.seed == config.seed);
    CHECK(back.quiet);
    CHECK(back.input == input);
    CHECK(back.stop == config.stop);
    CHECK(back.optimizer.lr == config.optimizer.lr);
    CHECK(back.optimizer.schedule.warmup_ratio == 5e-324);
    REQUIRE(back.arms.size() == 2);
    CHECK(back.arms[0].schedule.warmup_ratio == 1e300);
    CHECK(to_yaml(fields_of(back)) == yaml);
  }
}

TEST_CASE("a setting may have the name of a group") {
  Both both{{"x", "y"}, 7}, back;
  std::vector<Field> fields = fields_of(back);
  const TempFolder folder;
  write_file_atomic(folder / "run.yaml", to_yaml(fields_of(both)));
  read_yaml(folder / "run.yaml", fields);
  CHECK(back.rows == both.rows);
  CHECK(back.every == 7);
  write_file_atomic(folder / "run.yaml", "rows:\n  every: 3\n");
  read_yaml(folder / "run.yaml", fields);
  CHECK(back.every == 3);
}

TEST_CASE("to_yaml explains every setting") {
  Config config;
  config.arms = {{"base", true, {}}};
  CHECK(to_yaml(fields_of(config)) == R"(# Seed.
seed: 0
# No progress line.
quiet: false
# Input file.
input: ""
# Stop texts.
stop: []
optimizer:
  # Peak learning rate.
  lr: 0.0002
  schedule:
    # Shape. One of: cosine, linear, constant
    kind: cosine
    # Part of the steps.
    warmup_ratio: 0.03
# Arms.
arms:
  - name: base
    greedy: true
    schedule:
      kind: cosine
      warmup_ratio: 0.03
)");
}

TEST_CASE("mistakes in a file name the line and the remedy") {
  CHECK(error_of("seed: 1\nsede: 2\n") ==
        "run.yaml:2: unknown key \"sede\"; did you mean \"seed\"?");
  CHECK(error_of("lr: 1\n") == "run.yaml:1: unknown key \"lr\"; did you mean \"optimizer.lr\"?");
  CHECK(error_of("optimizer:\n  lr: 1\n  lrr: 2\n") ==
        "run.yaml:3: unknown key \"optimizer.lrr\"; did you mean \"optimizer.lr\"?");
  CHECK(error_of("arms:\n- name: a\n- nme: b\n") ==
        "run.yaml:3: unknown key \"arms[1].nme\"; did you mean \"name\"?");
  CHECK(error_of("completely_different: 1\n") ==
        "run.yaml:1: unknown key \"completely_different\"; --help lists the known ones");
  CHECK(error_of("seed: 1\nseed: 2\n") == "run.yaml:2: \"seed\" is given twice");
  CHECK(error_of("seed: 1.5\n") == "run.yaml:1: seed: \"1.5\" is not a whole number");
  CHECK(error_of("seed: 99999999999999999999\n") ==
        "run.yaml:1: seed: \"99999999999999999999\" is too large or too small for a whole number");
  CHECK(error_of("optimizer: {lr: nan}\n") ==
        "run.yaml:1: optimizer.lr: \"nan\" is not a finite number");
  CHECK(error_of("optimizer: {lr: 1e-4x}\n") ==
        "run.yaml:1: optimizer.lr: \"1e-4x\" is not a number");
  CHECK(error_of("quiet: yes\n") == "run.yaml:1: quiet: \"yes\" is not true or false");
  CHECK(error_of("optimizer:\n  schedule:\n    kind: cosin\n") ==
        "run.yaml:3: optimizer.schedule.kind: \"cosin\" is not one of cosine, linear, constant; "
        "did you mean \"cosine\"?");
  CHECK(error_of("input:\n") == "run.yaml:1: input: has no value; write '' for an empty text");
  CHECK(error_of("input: [a]\n") == "run.yaml:1: input: expected one value, not a list");
  CHECK(error_of("seed: {a: 1}\n") == "run.yaml:1: seed: expected one value, not a map");
  CHECK(error_of("arms: 3\n") == "run.yaml:1: arms: expected a list (lines with \"- \")");
  CHECK(error_of("stop: [[a]]\n") == "run.yaml:1: stop: expected a list of texts");
  CHECK(error_of("optimizer: 3\n") ==
        "run.yaml:1: expected \"name: value\" lines under \"optimizer\"");
  CHECK(error_of("- a\n") == "run.yaml:1: expected \"name: value\" lines");
  CHECK(error_of("[a]: 1\n") == "run.yaml:1: a key must be a name");
}

TEST_CASE("broken YAML is an error with its line") {
  CHECK_THAT(error_of("seed: 1\nstop: [a\n"), Contains("run.yaml:3:"));
  CHECK_THAT(error_of("seed: \"1\n\n"), Contains("run.yaml:"));
  CHECK_THAT(error_of("a: b: c\n"), Contains("run.yaml:1:"));
  CHECK(error_of("") == "");
  CHECK(error_of("# nothing but comments\n") == "");
  CHECK_THAT(error_of(std::string(100000, '[')), Contains("run.yaml:1:"));
}

TEST_CASE("a missing file is a usage error") {
  Config config;
  auto fields = fields_of(config);
  CHECK_THROWS_WITH(read_yaml("/no/such/run.yaml", fields), Contains("/no/such/run.yaml"));
  try {
    read_yaml("/no/such/run.yaml", fields);
  } catch (const Error& error) {
    CHECK(error.exit_code() == ExitCode::kUsage);
  }
}

TEST_CASE("flags set fields from text") {
  CHECK(flag_error("seed", "x") == "[config] --seed: \"x\" is not a whole number");
  CHECK(flag_error("seed", "") == "[config] --seed: \"\" is not a whole number");
  CHECK(flag_error("quiet", "1") == "[config] --quiet: \"1\" is not true or false");
  CHECK_THAT(flag_error("arms", "x"), Contains("--config"));
  CHECK(flag_error("input", "") == "");

  Config config;
  for (Field& field : fields_of(config)) {
    if (field.path == "stop") set_from_text(field, "a,b c,,d", "--stop");
    if (field.path == "optimizer.lr") set_from_text(field, "1e-4", "--optimizer.lr");
  }
  CHECK(config.stop == std::vector<std::string>{"a", "b c", "", "d"});
  CHECK(config.optimizer.lr == 1e-4);
}

TEST_CASE("text_of spells a value as a flag would") {
  Config config;
  config.stop = {"a", "b"};
  std::vector<std::string> texts;
  for (const Field& field : fields_of(config)) texts.push_back(text_of(field));
  CHECK(texts == std::vector<std::string>{"0", "false", "", "a,b", "0.0002", "cosine", "0.03", ""});
}

TEST_CASE("nearest_name finds a slip and nothing far") {
  const std::vector<std::string> known = {"input", "output", "optimizer.lr", "lora.rank",
                                          "max_seq_length"};
  CHECK(nearest_name("inptu", known) == "input");
  CHECK(nearest_name("outputs", known) == "output");
  CHECK(nearest_name("rank", known) == "lora.rank");
  CHECK(nearest_name("optimizer.rl", known) == "optimizer.lr");
  CHECK(nearest_name("max-seq-length", known) == "max_seq_length");
  CHECK(nearest_name("banana", known) == "");
  CHECK(nearest_name("x", {}) == "");
}
