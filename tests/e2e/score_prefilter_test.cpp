// reflect-score with a small model as first filter.
#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "e2e/score_workplace.h"

namespace reflect {
namespace {

// The golden model filters for itself, so its IFD is known twice.
std::vector<std::string> settings(const std::string& keep = "0.4") {
  return {"--prefilter.model",   kGoldenModel, "--prefilter.keep",   keep,
          "--prefilter.max-ifd", "0",          "--max-batch-tokens", "900"};
}

std::string rows_with_failures(int count) {
  return fence_rows(count) + "{\"id\": \"long\", \"prompt\": \"Hi\", \"response\": \"" +
         std::string(3000, 'x') + "\"}\n";
}

}  // namespace

TEST_CASE("the student scores only what the small model ranks highest") {
  const std::string input = rows_with_failures(19);
  const ScoreRun all(input), some(input);
  REQUIRE(all({"--max-batch-tokens", "900"}).exit_code == 0);
  const ToolResult result = some(settings());
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  CHECK(result.out.find("prefilter: 8 of 20 rows go on") != std::string::npos);
  const std::vector<Record> expected = all.rows(), rows = some.rows();
  REQUIRE(rows.size() == 20);
  double lowest_passed = INFINITY, highest_held = 0;
  std::map<std::string, int> statuses;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Json& scores = rows[i].scores;
    const Json& small = scores.at("prefilter");
    const std::string status = scores.at("status");
    ++statuses[status];
    CHECK(rows[i].id == expected[i].id);
    CHECK(rows[i].other.contains("kept_field") == (i < 19));
    if (i == 19) {
      CHECK(status == "too_long");
      CHECK(scores.at("failed_pass") == "prefilter");
      CHECK(small.at("ifd_ppl").is_null());
      continue;
    }
    const double ifd = expected[i].scores.at("ifd_ppl");
    CHECK(small.at("ifd_ppl").get<double>() == Approx(ifd).epsilon(1e-4));
    if (status == "ok") {
      lowest_passed = std::min(lowest_passed, small.at("ifd_ppl").get<double>());
      Json student = scores;
      student.erase("prefilter");
      CHECK(largest_difference(student, expected[i].scores) <= 1e-5);
    } else {
      highest_held = std::max(highest_held, small.at("ifd_ppl").get<double>());
      CHECK(scores.at("ifd_ppl").is_null());
      CHECK(rows[i].other.at("decision_reason") == "prefiltered");
    }
  }
  CHECK(statuses == std::map<std::string, int>{{"ok", 8}, {"prefiltered", 11}, {"too_long", 1}});
  CHECK(highest_held <= lowest_passed);

  const Json gates = some.receipt().at("gates");
  CHECK(gates.at(0).at("gate") == "prefilter");
  CHECK(gates.at(0).at("in") == 20);
  CHECK(gates.at(0).at("dropped").at("prefiltered") == 11);
  CHECK(gates.at(1).at("dropped").at("too_long") == 1);
  CHECK(some.meta().at("prefilter").at("passed") == 8);
  CHECK(some.meta().at("prefilter").at("failed") == 1);
}

TEST_CASE("the random control draws from prefiltered rows too") {
  const ScoreRun run(fence_rows(30));
  std::vector<std::string> open = settings("0.5");
  open.insert(open.end(), {"--selection.max-ifd", "0", "--selection.max-rifd", "0"});
  REQUIRE(run(open).exit_code == 0);
  CHECK(run.kept().size() == 15);
  std::size_t held = 0;
  const std::vector<Record> control = read_records(run.folder / "random_control.jsonl");
  for (const Record& record : control) held += record.scores.at("status") == "prefiltered";
  CHECK(control.size() == 15);
  CHECK(held > 0);
  CHECK(held < 15);
}

TEST_CASE("a prefiltered run that is killed in either stage goes on to the same bytes") {
  const std::string input = fence_rows(150);
  const ScoreRun whole(input), broken(input);
  REQUIRE(whole(settings()).exit_code == 0);
  const std::string small_journal = broken.scored() + ".prefilter.journal";
  CHECK(interrupt(broken, settings(), small_journal, SIGKILL) == 128 + SIGKILL);
  CHECK(size_of(broken.journal()) == 0);
  CHECK(interrupt(broken, settings(), broken.journal(), SIGKILL) == 128 + SIGKILL);
  CHECK_FALSE(std::filesystem::exists(broken.scored()));
  const ToolResult rest = broken(settings());
  INFO(rest.err);
  REQUIRE(rest.exit_code == 0);
  CHECK(rest.err.find("resuming the prefilter after") != std::string::npos);
  CHECK(rest.err.find("resuming after") != std::string::npos);
  CHECK(read_file(broken.scored()) == read_file(whole.scored()));
  CHECK(read_file(broken.folder / "kept.jsonl") == read_file(whole.folder / "kept.jsonl"));
  CHECK_FALSE(std::filesystem::exists(broken.journal()));
  CHECK_FALSE(std::filesystem::exists(small_journal));
}

TEST_CASE("rows added after an interruption are ranked with the others") {
  const ScoreRun broken(fence_rows(150));
  CHECK(interrupt(broken, settings(), broken.journal(), SIGKILL) == 128 + SIGKILL);
  const std::string longer = fence_rows(170);
  write_file_atomic(broken.folder / "in.jsonl", longer);
  REQUIRE(broken(settings()).exit_code == 0);
  const ScoreRun fresh(longer);
  REQUIRE(fresh(settings()).exit_code == 0);
  CHECK(read_file(broken.scored()) == read_file(fresh.scored()));
}

TEST_CASE("each shard passes its own share") {
  const ScoreRun run(fence_rows(20));
  for (const int shard : {0, 1}) {
    std::vector<std::string> more = settings("0.3");
    more.insert(more.end(), {"--shard", std::to_string(shard) + "/2"});
    REQUIRE(run(more).exit_code == 0);
    const std::string name = fmt::format("scored-{:05}-of-00002.jsonl", shard);
    std::size_t passed = 0;
    for (const Record& record : read_records(run.folder / name))
      passed += record.scores.at("status") == "ok";
    CHECK(passed == 3);
  }
}

TEST_CASE("selection among prefiltered scores needs neither model; other settings score anew") {
  const ScoreRun run(fence_rows(12));
  REQUIRE(run(settings()).exit_code == 0);
  const std::string first = read_file(run.scored());
  const ToolResult again = run(settings());
  CHECK(again.err.find("holds the scores already") != std::string::npos);
  CHECK(read_file(run.scored()) == first);
  CHECK(run.meta().at("prefilter").at("rows") == 12);
  const ToolResult wider = run(settings("0.9"));
  REQUIRE(wider.exit_code == 0);
  CHECK(wider.err.find("holds the scores already") == std::string::npos);
  CHECK(run.meta().at("prefilter").at("passed") == 11);
}

TEST_CASE("prefilter settings that mean nothing are told") {
  const ScoreRun run(fence_rows(2));
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"--prefilter.keep", "0"}, "prefilter.keep"},
      {{"--prefilter.keep", "nan"}, "prefilter.keep"},
      {{"--prefilter.max-ifd", "-1"}, "prefilter.max-ifd"},
      {{"--input", "-"}, "must be a file"},
      {{"--selection.policy", "selective-paper"}, "selective-paper"}};
  for (const auto& [more, says] : cases) {
    INFO(says);
    std::vector<std::string> arguments = {"--prefilter.model", kGoldenModel};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ToolResult result = run(arguments);
    CHECK(result.exit_code == 2);
    CHECK(result.err.find(says) != std::string::npos);
  }
  const ToolResult missing = run({"--prefilter.model", run.folder / "no-such-model"});
  CHECK(missing.exit_code == 2);
  CHECK(missing.err.find("no-such-model") != std::string::npos);
}

}  // namespace reflect
