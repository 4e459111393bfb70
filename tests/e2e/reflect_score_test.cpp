// reflect-score as a user runs it, on the golden model.
#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "e2e/score_workplace.h"

namespace reflect {
namespace {

using Run = ScoreRun;

}  // namespace

TEST_CASE("all rows come out with scores and a decision, the kept ones apart") {
  const Run run(fence_rows(12));
  const ToolResult result = run();
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  CHECK(result.out.find("12 rows scored, 0 input lines rejected") != std::string::npos);
  CHECK(result.out.find("dtype fp32") != std::string::npos);
  const std::vector<Record> rows = run.rows();
  REQUIRE(rows.size() == 12);
  std::set<std::string> kept;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Json& scores = rows[i].scores;
    CHECK(rows[i].id == fmt::format("row-{}", i + 1));
    CHECK(rows[i].other.at("kept_field") == i + 1);
    CHECK(scores.at("status") == "ok");
    const double ifd = scores.at("ifd_ppl"), conditional = scores.at("nll_conditional"),
                 direct = scores.at("nll_direct");
    CHECK(ifd == Approx(std::exp(conditional - direct)));
    CHECK(scores.at("spans").contains("error"));
    CHECK(scores.at("gains").at(0).at("gain").is_number());
    CHECK(scores.at("gains").at(0).at("other_gain").is_number() == (i > 0));
    CHECK(scores.at("ppl_direct").get<double>() == Approx(std::exp(direct)));
    const bool good = ifd < 1 && scores.at("rifd_ppl") < 1;
    CHECK(rows[i].other.at("decision") == (good ? "kept" : "dropped"));
    if (good) kept.insert(rows[i].id);
  }
  std::set<std::string> written;
  for (const Record& record : run.kept()) written.insert(record.id);
  CHECK(written == kept);
  CHECK(run.meta().at("template") == "llama3");
  CHECK(run.meta().at("counts").at("decisions").at("kept") == kept.size());
  CHECK(run.meta().at("settings").at("selection.max-ifd") == "1");
  CHECK_FALSE(std::filesystem::exists(run.journal()));
}

TEST_CASE("failed rows have a status and no numbers, bad lines are listed, counts add up") {
  const std::string input =
      fence_row(1) + "{\"prompt\": \"Hi\", \"response\": \"\"}\n" + "not json\n" +
      "{\"prompt\": \"Hi\", \"response\": \"" + std::string(3000, 'x') + "\"}\n" +
      "{\"prompt\": \"bad \xff\", \"response\": \"x\"}\n" + "{\"response\": \"no prompt\"}\n" +
      "{\"prompt\": \"Hi\", \"response\": \"<|eot_id|>\"}\n";
  for (const std::string parity : {"fixed", "reference"}) {
    INFO(parity);
    const Run run(input);
    const ToolResult result = run({"--parity", parity});
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    const std::vector<Record> rows = run.rows();
    REQUIRE(rows.size() == 4);
    const std::vector<std::string> statuses = {"ok", "empty", "too_long", "ok"};
    for (std::size_t i = 0; i < 4; ++i) {
      CHECK(rows[i].scores.at("status") == statuses[i]);
      CHECK(rows[i].scores.at("rifd_ppl").is_number() == (statuses[i] == "ok"));
      if (statuses[i] != "ok") CHECK(rows[i].other.at("decision_reason") == statuses[i]);
    }
    CHECK(read_file(run.scored()).find("NaN") == std::string::npos);
    LineReader rejected(run.scored() + ".rejected.jsonl");
    std::vector<std::size_t> lines;
    while (const auto line = rejected.next()) lines.push_back(Json::parse(*line).at("line"));
    CHECK(lines == std::vector<std::size_t>{3, 5, 6});
    CHECK(run.meta().at("counts").at("rejected_lines") == 3);
    CHECK(run.meta().at("counts").at("rows") == 4);
  }
}

TEST_CASE("a run that is killed anywhere goes on to the same bytes") {
  const std::string input = fence_rows(150);
  const std::vector<std::string> settings = {"--max-batch-tokens", "900"};
  const Run whole(input);
  REQUIRE(whole(settings).exit_code == 0);
  const Run broken(input);
  CHECK(interrupt(broken, settings, broken.journal(), SIGKILL) == 128 + SIGKILL);
  CHECK_FALSE(std::filesystem::exists(broken.scored()));
  CHECK(interrupt(broken, settings, broken.journal(), SIGTERM) == 128 + SIGTERM);
  const ToolResult rest = broken(settings);
  INFO(rest.err);
  REQUIRE(rest.exit_code == 0);
  CHECK(rest.err.find("resuming after") != std::string::npos);
  CHECK(read_file(broken.scored()) == read_file(whole.scored()));
  CHECK(read_file(broken.folder / "kept.jsonl") == read_file(whole.folder / "kept.jsonl"));
}

TEST_CASE("rows that changed since the interruption are scored anew") {
  const std::vector<std::string> settings = {"--max-batch-tokens", "900"};
  const Run broken(fence_rows(150));
  CHECK(interrupt(broken, settings, broken.journal(), SIGKILL) == 128 + SIGKILL);
  const std::string changed = fence_row(900) + fence_rows(20);
  write_file_atomic(broken.folder / "in.jsonl", changed);
  REQUIRE(broken(settings).exit_code == 0);
  const Run fresh(changed);
  REQUIRE(fresh(settings).exit_code == 0);
  CHECK(read_file(broken.scored()) == read_file(fresh.scored()));
}

TEST_CASE("scores do not depend on the token budget, and standard input reads the same") {
  const Run wide(fence_rows(10)), narrow(fence_rows(10));
  REQUIRE(wide({"--max-batch-tokens", "100000"}).exit_code == 0);
  REQUIRE(narrow({"--max-batch-tokens", "1"}).exit_code == 0);
  for (std::size_t i = 0; i < 10; ++i)
    CHECK(largest_difference(wide.rows()[i].scores, narrow.rows()[i].scores) <= 1e-5);
  std::vector<std::string> arguments = narrow.arguments({"--max-batch-tokens", "1"});
  arguments[3] = "-";
  const std::string before = read_file(narrow.scored());
  REQUIRE(run_tool("reflect-score", arguments, fence_rows(10)).exit_code == 0);
  CHECK(read_file(narrow.scored()) == before);
}

TEST_CASE("the bytes do not depend on the tokenizer's threads") {
  const Run one(fence_rows(40)), many(fence_rows(40));
  REQUIRE(one({"--tokenizer-threads", "1"}).exit_code == 0);
  REQUIRE(many({"--tokenizer-threads", "5"}).exit_code == 0);
  CHECK(read_file(one.scored()) == read_file(many.scored()));
}

TEST_CASE("the shards of an input are together what one run scores") {
  const std::string input = fence_rows(9) + "oops\n" + fence_row(70) + fence_row(71);
  const Run whole(input);
  REQUIRE(whole().exit_code == 0);
  const std::vector<Record> expected = whole.rows();
  for (const int count : {2, 3}) {
    const Run sharded(input);
    std::vector<Record> together;
    std::size_t rejected = 0;
    for (int i = 0; i < count; ++i) {
      const ToolResult result = sharded({"--shard", fmt::format("{}/{}", i, count)});
      INFO(result.err);
      REQUIRE(result.exit_code == 0);
      const std::string name = fmt::format("scored-{:05}-of-{:05}.jsonl", i, count);
      const std::vector<Record> part = read_records(sharded.folder / name);
      together.insert(together.end(), part.begin(), part.end());
      rejected += Json::parse(read_file(sharded.folder / name + ".meta.json"))
                      .at("counts")
                      .at("rejected_lines")
                      .get<std::size_t>();
    }
    CHECK(rejected == 1);
    REQUIRE(together.size() == expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      CHECK(together[i].id == expected[i].id);
      CHECK(largest_difference(together[i].scores, expected[i].scores) <= 1e-5);
    }
  }
}

TEST_CASE("rows that begin alike are computed once and score like rows alone") {
  std::string together;
  std::vector<std::string> single;
  for (int i = 0; i < 8; ++i) {
    const Json row = {
        {"id", std::to_string(i)},
        {"prompt", "A long question about posts, fences and gates, asked eight times."},
        {"response", fmt::format("There are {} of them, I think.", i)}};
    single.push_back(row.dump() + "\n");
    together += single.back();
  }
  const Run run(together);
  const ToolResult result = run();
  REQUIRE(result.exit_code == 0);
  const std::size_t at = result.out.find(" tokens computed (");
  REQUIRE(at != std::string::npos);
  CHECK(std::stod(result.out.substr(at + 18)) < 50);
  for (std::size_t i = 0; i < single.size(); ++i) {
    const Run alone(single[i]);
    REQUIRE(alone().exit_code == 0);
    CHECK(largest_difference(alone.rows()[0].scores, run.rows()[i].scores) <= 1e-5);
  }
}

TEST_CASE("explaining a row prints its passes and writes nothing") {
  const Run run(fence_rows(3));
  const ToolResult result =
      run_tool("reflect-score", {"--model", kGoldenModel, "--input", run.folder / "in.jsonl",
                                 "--explain", "row-2", "--dtype", "fp32", "--quiet"});
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  for (const std::string pass :
       {"conditional", "direct", "reverse", "prompt", "without_reflection", "other_reflection"})
    CHECK(result.out.find("pass " + pass + ":") != std::string::npos);
  CHECK(result.out.find("\"ifd_ppl\"") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(run.scored()));
  CHECK(run({"--explain", "row-9"}).err.find("row-9") != std::string::npos);
}

TEST_CASE("selection settings reach the decision") {
  const Run run(fence_rows(10));
  REQUIRE(run({"--selection.max-ifd", "0", "--selection.max-rifd", "0", "--selection.top-fraction",
               "0.3", "--limit", "10"})
              .exit_code == 0);
  CHECK(run.kept().size() == 3);
  double lowest_kept = INFINITY;
  for (const Record& record : run.kept())
    lowest_kept = std::min(lowest_kept, record.scores.at("ifd_ppl").get<double>());
  for (const Record& record : run.rows())
    if (record.other.at("decision") == "dropped") {
      CHECK(record.other.at("decision_reason") == "below_top");
      CHECK(record.scores.at("ifd_ppl") <= lowest_kept);
    }
}

TEST_CASE("selection is repeated among finished scores, without the model") {
  const Run run(fence_rows(10));
  REQUIRE(run().exit_code == 0);
  const std::string first = read_file(run.scored());
  const ToolResult again = run();
  CHECK(again.exit_code == 0);
  CHECK(again.err.find("holds the scores already") != std::string::npos);
  CHECK(read_file(run.scored()) == first);
  const ToolResult other =
      run({"--selection.max-ifd", "0", "--selection.max-rifd", "0", "--selection.top-fraction",
           "0.2", "--selection.near-duplicates", "1", "--seed", "9"});
  INFO(other.err);
  REQUIRE(other.exit_code == 0);
  CHECK(other.err.find("holds the scores already") != std::string::npos);
  CHECK(run.kept().size() == 2);
  CHECK(run.meta().at("settings").at("selection.top-fraction") == "0.2");
  CHECK(run.meta().at("counts").at("decisions").at("below_top") == 8);
  // Settings or rows that change the scores score anew.
  CHECK(run({"--reverse", "false"}).err.find("holds the scores") == std::string::npos);
  CHECK(run.rows()[0].scores.at("rifd_ppl").is_null());
  write_file_atomic(run.folder / "in.jsonl", fence_rows(3));
  CHECK(run({"--reverse", "false"}).err.find("holds the scores") == std::string::npos);
  CHECK(run.rows().size() == 3);
}

TEST_CASE("every row, the receipt and the random control tell the same counts") {
  std::string input = fence_rows(10) + fence_row(3);
  input += R"({"prompt": "Count the hens", "response": "#### 3", "answer": "4"})"
           "\n";
  const Run run(input);
  write_file_atomic(run.folder / "test.jsonl",
                    R"({"q": "a FENCE has 7 posts; how many have two fences?"})"
                    "\n");
  const ToolResult result =
      run({"--selection.max-ifd", "0", "--selection.max-rifd", "0", "--decontaminate",
           run.folder / "test.jsonl", "--selection.near-duplicates", "0.95", "--report",
           run.folder / "report.html"});
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  const std::vector<Record> rows = run.rows();
  CHECK(rows[10].other.at("decision_reason") == "duplicate");
  CHECK(rows[10].other.at("decision_detail").at("duplicate_of") == "row-3");
  CHECK(rows[11].other.at("decision_reason") == "wrong_answer");
  CHECK(rows[6].other.at("decision_reason") == "contaminated");
  const Json& detail = rows[6].other.at("decision_detail");
  CHECK(detail.at("file") == run.folder / "test.jsonl");
  CHECK(detail.at("line") == 1);
  CHECK(detail.at("ngram") == "a fence has 7 posts how many have");

  const Json receipt = Json::parse(read_file(run.scored() + ".receipt.json"));
  std::map<std::string, std::size_t> by_reason, in_receipt;
  for (const Record& record : rows) ++by_reason[record.other.at("decision_reason")];
  for (const Json& gate : receipt.at("gates"))
    for (const auto& [reason, count] : gate.at("dropped").items()) in_receipt[reason] = count;
  in_receipt["kept"] = receipt.at("kept");
  CHECK(by_reason == in_receipt);
  CHECK(receipt.at("kept") == run.kept().size());
  const std::vector<Record> control = read_records(run.folder / "random_control.jsonl");
  CHECK(control.size() == run.kept().size());
  CHECK(receipt.at("random_control").at("rows") == control.size());
  for (const Record& record : control) CHECK(record.id != rows[11].id);
  CHECK(result.out.find("contaminated") ==
        std::string::npos);  // one reason: the gate's name says it
  CHECK(result.out.find("decontamination") != std::string::npos);
  const std::string page = read_file(run.folder / "report.html");
  CHECK(page.find("class=\"reflection\"") != std::string::npos);
  CHECK(page.find("<script") == std::string::npos);
}

TEST_CASE("text of rows cannot become markup of the report") {
  const Run run(
      R"({"id": "<b>id</b>", "prompt": "<script>alert(1)</script>", "response": "</div>&\"x"})"
      "\n");
  REQUIRE(run({"--selection.max-ifd", "0", "--report", run.folder / "report.html"}).exit_code == 0);
  const std::string page = read_file(run.folder / "report.html");
  CHECK(page.find("<script") == std::string::npos);
  CHECK(page.find("<b>id") == std::string::npos);
  CHECK(page.find("&lt;script&gt;alert(1)") != std::string::npos);
  CHECK(page.find("&lt;/div&gt;&amp;&quot;x") != std::string::npos);
}

TEST_CASE("diverse rows are chosen by the model's hidden states, which are kept") {
  const Run run(fence_rows(12));
  const std::vector<std::string> settings = {
      "--selection.max-ifd", "0",       "--selection.max-rifd",     "0",
      "--selection.policy",  "diverse", "--selection.top-fraction", "0.25"};
  const ToolResult result = run(settings);
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  CHECK(run.kept().size() == 3);
  const std::string kept = read_file(run.folder / "kept.jsonl");
  CHECK(std::filesystem::exists(run.scored() + ".embeddings"));
  CHECK(run(settings).exit_code == 0);
  CHECK(read_file(run.folder / "kept.jsonl") == kept);
}

TEST_CASE("a damaged journal ends the run before it loads a model") {
  const Run run(fence_rows(1));
  write_file_atomic(run.journal(), "not a journal\n");
  const std::string broken = run.folder / "broken";
  make_folder(broken);  // whose weights would be an error, were they looked at
  std::filesystem::copy_file(kGoldenModel + "/config.json", broken + "/config.json");
  const ToolResult result = run({"--model", broken});
  CHECK(result.exit_code == 1);
  CHECK(result.err.find(run.journal() + ":1: damaged") != std::string::npos);
  CHECK(read_file(run.journal()) == "not a journal\n");
}

TEST_CASE("gates that no row has anything for are told") {
  const Run run(fence_rows(2));
  const ToolResult result =
      run({"--span-gain", "false", "--selection.min-gain", "0", "--selection.correct", "recorded"});
  REQUIRE(result.exit_code == 0);
  CHECK(result.err.find("--selection.min-gain 0 drops nothing") != std::string::npos);
  CHECK(result.err.find("--selection.correct recorded drops nothing") != std::string::npos);
}

TEST_CASE("mistakes end with one line that says what to do") {
  const Run run(fence_rows(1));
  struct Case {
    std::vector<std::string> more;
    int exit_code;
    std::string says;
  };
  const Case cases[] = {
      {{"--parity", "exact"}, 2, "reference"},
      {{"--no-such-flag", "1"}, 2, "no-such-flag"},
      {{"--selected", run.scored()}, 2, "would replace the file of --output"},
      {{"--selected", "no_folder/kept.jsonl"}, 2, "there is no folder"},
      {{"--output", "-"}, 2, "must be files"},
      {{"--shard", "2/2"}, 2, "0/4"},
      {{"--shard", "0/2", "--input", "-"}, 2, "a file"},
      {{"--selection.policy", "selective-paper", "--reverse", "false"}, 2, "r-IFD"},
      {{"--selection.top-fraction", "2"}, 2, "top-fraction"},
      {{"--selection.policy", "diverse"}, 2, "top-fraction"},
      {{"--selection.near-duplicates", "7"}, 2, "near-duplicates"},
      {{"--decontaminate", run.folder / "in.jsonl", run.folder / "none.jsonl"}, 1, "none.jsonl"},
      {{"--decontaminate-ratio", "0"}, 2, "decontaminate-ratio"},
      {{"--random-control", run.folder / "kept.jsonl"}, 2, "random-control"},
      {{"--template", "no-such-template"}, 2, "llama3"},
      {{"--input", run.folder / "missing.jsonl"}, 1, "missing.jsonl"},
      {{"--model", run.folder / "no-model"}, 2, "no-model"},
      {{"--selection.policy", "selective-paper"}, 2, "has a \"group\""},
      {{"--input", "/dev/null"}, 1, "no row"},
  };
  for (const Case& c : cases) {
    INFO(c.says);
    const ToolResult result = run(c.more);
    CHECK(result.exit_code == c.exit_code);
    CHECK(result.err.find(c.says) != std::string::npos);
    CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
    CHECK_FALSE(std::filesystem::exists(run.scored()));
  }
}

}  // namespace reflect
