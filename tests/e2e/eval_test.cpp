// reflect-eval on the small golden model: reports, resuming, questions, and what it says to
// mistakes.
#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "e2e/run_tool.h"

namespace reflect {
namespace {

using Json = nlohmann::json;
using Arguments = std::vector<std::string>;

const std::string kModel = REFLECT_SOURCE_DIR "/tests/golden/model/llama3";

Arguments operator+(Arguments first, const Arguments& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

// A folder with problems, one of them without an answer.
struct Workplace {
  TempFolder folder;
  std::string input = folder / "problems.jsonl";
  std::string output = folder / "results.json";
  std::string rows = folder / "results.rows.jsonl";

  explicit Workplace(int problems = 5) {
    std::string text = "{\"id\": \"open\", \"prompt\": \"What is love?\"}\n";
    for (int i = 0; i < problems; ++i) {
      text += Json{{"id", "p" + std::to_string(i)},
                   {"prompt", "What is " + std::to_string(i) + " + 2?"},
                   {"answer", std::to_string(i + 2)},
                   {"operations", 4 + i % 2 * 2}}
                  .dump() +
              "\n";
    }
    write_file_atomic(input, text);
  }

  Arguments arguments(const Arguments& more = {}) const {
    return Arguments{"--input",  input,
                     "--output", output,
                     "--dtype",  "fp32",
                     "--quiet",  "--sampling.max_new_tokens",
                     "24",       "--bootstrap-resamples",
                     "200"} +
           more;
  }
  Json report() const { return Json::parse(read_file(output)); }
  std::vector<Json> row_list() const {
    std::vector<Json> list;
    std::istringstream lines(read_file(rows));
    for (std::string line; std::getline(lines, line);) list.push_back(Json::parse(line));
    return list;
  }
};

const Arguments kOneArm = {"--model", kModel};
const Arguments kFourArms = {"--model",           kModel,      "--adapter",
                             kModel + "/adapter", "--draft",   "--ban-reflection",
                             "--group-by",        "operations"};

TEST_CASE("reflect-eval compares arms and writes report, rows and tables") {
  const Workplace place;
  const ToolResult got = run_tool("reflect-eval", place.arguments(kFourArms));
  INFO(got.err);
  REQUIRE(got.exit_code == 0);
  for (const char* part : {"5 problems", "1 no gold answer", "base", "tuned", "draft", "banned",
                           "tuned - base", "McNemar", "accuracy by operations", "6 (n = 2)",
                           "reflections of tuned against its draft", "form issues of base"}) {
    CHECK_THAT(got.out, Catch::Contains(part));
  }
  const Json report = place.report();
  CHECK(report.at("problems") == 5);
  CHECK(report.at("rejected_rows").at("no gold answer") == 1);
  CHECK(report.at("arms").size() == 4);
  CHECK(report.at("pairs").size() == 6);
  CHECK(report.at("drafts").size() == 1);
  CHECK(report.at("settings").at("dtype") == "fp32");
  CHECK(report.at("arms")[0].at("groups").at("4").at("problems") == 3);
  CHECK(report.at("arms")[0].at("system_prompts").at("asked").at("none") == 5);
  CHECK(report.at("arms")[0].at("system_prompts").at("agreement") == "unknown");
  const auto rows = place.row_list();
  CHECK(rows.size() == 4 * 5);
  CHECK(rows[0].at("id") == "p0");
  CHECK(rows[0].at("response") != rows[5].at("response"));  // the adapter does something
}

TEST_CASE("a second run generates nothing and grades what is there") {
  const Workplace place;
  REQUIRE(run_tool("reflect-eval", place.arguments(kOneArm)).exit_code == 0);
  const std::string first = read_file(place.output);
  REQUIRE(run_tool("reflect-eval", place.arguments(kOneArm)).exit_code == 0);
  CHECK(read_file(place.output) == first);

  std::string changed;
  for (Json row : place.row_list()) {
    row["response"] =
        "<thinking>\nadd\n</thinking>\n<output>" + row.at("gold").get<std::string>() + "</output>";
    changed += row.dump() + "\n";
  }
  write_file_atomic(place.rows, changed);
  REQUIRE(run_tool("reflect-eval", place.arguments(kOneArm)).exit_code == 0);
  CHECK(place.report().at("arms")[0].at("accuracy") == 1.0);
}

TEST_CASE("a draft goes on from where the free answer began to reflect") {
  const Workplace place;
  REQUIRE(run_tool("reflect-eval", place.arguments(kOneArm)).exit_code == 0);
  const std::string before = "<thinking>\n1 + 2 = 4\n";
  std::string changed;
  for (Json row : place.row_list()) {
    const std::string gold = row.at("gold");
    if (row.at("id") != "p0") {
      row["response"] =
          before + "<reflection>no</reflection>\n</thinking>\n<output>" + gold + "</output>";
    }
    changed += row.dump() + "\n";
  }
  write_file_atomic(place.rows, changed);
  const ToolResult got = run_tool("reflect-eval", place.arguments(kOneArm + Arguments{"--draft"}));
  REQUIRE(got.exit_code == 0);
  const Json draft = place.report().at("drafts").at(0);
  CHECK(draft.at("reflected") == 4);
  CHECK(draft.at("missed") == 1);
  CHECK(draft.at("repaired").get<int>() + draft.at("stayed_right").get<int>() == 4);
  const auto rows = place.row_list();
  REQUIRE(rows.size() == 10);
  CHECK(rows[5].at("response") == rows[0].at("response"));  // p0 has no reflection to cut at
  const std::string forced = before + "</thinking>\n<output>";
  for (std::size_t i = 6; i < 10; ++i) {
    const std::string response = rows[i].at("response");
    CHECK(response.starts_with(forced));
    CHECK(response.size() > forced.size());
    CHECK(rows[i].at("prompt_tokens") == rows[i - 5].at("prompt_tokens"));
    CHECK(rows[i].at("new_tokens") > 24);
  }
}

TEST_CASE("a run that was ended goes on and ends as if it never was") {
  const int signal = GENERATE(SIGTERM, SIGKILL);
  const Workplace place(10);
  const Arguments arguments = place.arguments(
      {"--model", kModel, "--sampling.max_new_tokens", "150", "--engine.max_batch_rows", "1"});
  {
    Tool tool("reflect-eval", arguments);
    const auto finished_rows = [&] {
      return std::filesystem::exists(place.rows) ? place.row_list().size() : 0;
    };
    while (finished_rows() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    tool.send(signal);
    const ToolResult ended = tool.wait();
    CHECK(ended.exit_code == 128 + signal);
    CHECK(!std::filesystem::exists(place.output));
    if (signal == SIGTERM) CHECK_THAT(ended.err, Catch::Contains("ended by signal 15"));
  }
  const std::string kept = read_file(place.rows);
  REQUIRE(run_tool("reflect-eval", arguments).exit_code == 0);
  const auto resumed_rows = place.row_list();
  const Json resumed = place.report().at("arms");
  CHECK(resumed_rows.size() == 10);

  std::filesystem::remove(place.rows);
  REQUIRE(run_tool("reflect-eval", arguments).exit_code == 0);
  CHECK(place.row_list() == resumed_rows);
  CHECK(place.report().at("arms") == resumed);
}

TEST_CASE("samples are drawn by seed and averaged") {
  const Workplace place(2);
  const auto sampled = [&](const std::string& seed) {
    const ToolResult got =
        run_tool("reflect-eval", place.arguments({"--model", kModel, "--samples", "3", "--seed",
                                                  seed, "--sampling.temperature", "1"}));
    REQUIRE(got.exit_code == 0);
    CHECK_THAT(got.out, Catch::Contains("majority"));
    return place.row_list();
  };
  const auto rows = sampled("1");
  CHECK(rows.size() == 6);
  CHECK(rows[0].at("response") != rows[1].at("response"));
  CHECK(sampled("2")[0].at("response") != rows[0].at("response"));
  CHECK(sampled("1") == rows);
}

TEST_CASE("reflect-eval answers one question") {
  const Arguments ask = {"--model", kModel, "--dtype", "fp32", "--ask", "What is 2 + 2?"};
  const ToolResult cut =
      run_tool("reflect-eval", ask + Arguments{"--sampling.max_new_tokens", "2"});
  CHECK(cut.exit_code == 3);
  CHECK(!cut.out.empty());
  CHECK_THAT(cut.err, Catch::Contains("cut off after 2 tokens"));
  const ToolResult hidden = run_tool(
      "reflect-eval", ask + Arguments{"--hide-thinking", "--sampling.max_new_tokens", "2"});
  CHECK(hidden.exit_code == 1);
  CHECK_THAT(hidden.err, Catch::Contains("the answer has no <output>"));
  CHECK(hidden.out.empty());
}

TEST_CASE("problems among the training rows end the run unless allowed") {
  const Workplace place;
  const std::string train = place.folder / "train.jsonl";
  write_file_atomic(train, "{\"prompt\": \"what is 3 + 2\", \"response\": \"5\"}\n");
  const Arguments arguments = place.arguments({"--model", kModel, "--train-rows", train});
  const ToolResult refused = run_tool("reflect-eval", arguments);
  CHECK(refused.exit_code == 1);
  CHECK_THAT(refused.err, Catch::Contains("1 of 5 problems are also in"));
  const ToolResult allowed = run_tool("reflect-eval", arguments + Arguments{"--allow-overlap"});
  CHECK(allowed.exit_code == 0);
  CHECK_THAT(allowed.out, Catch::Contains("1 problems exact"));
}

TEST_CASE("mistakes end in one line that names them") {
  const Workplace place;
  struct Mistake {
    Arguments arguments;
    int exit_code;
    std::string message;
  };
  const std::string nowhere = place.folder / "nowhere";
  const std::string broken = place.folder / "broken.jsonl";
  write_file_atomic(broken, "{\"prompt\": \"x\", \"answer\"\n");
  for (const Mistake& mistake : std::vector<Mistake>{
           {place.arguments(), 2, "no model"},
           {place.arguments({"--model", nowhere}), 2, "has no config.json"},
           {place.arguments({"--model", kModel, "--adapter", nowhere}), 2,
            "no adapter_config.json"},
           {place.arguments({"--model", kModel, "--samples", "2"}), 2, "temperature"},
           {place.arguments({"--model", kModel, "--checker", "magic"}), 2, "magic"},
           {place.arguments({"--model", kModel, "--grup-by", "x"}), 2, "group-by"},
           {place.arguments({"--model", kModel, "--group-by", "nofield"}), 2,
            "none of 5 problems of " + place.input + " has this field"},
           {place.arguments({"--model", kModel, "--template", "klingon"}), 2, "klingon"},
           {{"--model", kModel, "--input", place.input}, 2, "--output"},
           {{"--model", kModel, "--output", place.output}, 2, "--input"},
           {place.arguments({"--model", kModel, "--input", nowhere}), 1, "nowhere"},
           {place.arguments({"--model", kModel, "--input", broken}), 1, "no problem with a gold"},
       }) {
    const ToolResult got = run_tool("reflect-eval", mistake.arguments);
    INFO(mistake.message);
    CHECK(got.exit_code == mistake.exit_code);
    CHECK_THAT(got.err, Catch::Contains(mistake.message));
    CHECK(std::count(got.err.begin(), got.err.end(), '\n') == 1);
    CHECK(got.out.empty());
  }
}

}  // namespace
}  // namespace reflect
