// Output formats of reflect-gen through the programs: every form survives a kill with equal bytes,
// and reflect-train reads the pairs that reflect-gen wrote.
#include <chrono>
#include <thread>

#include "e2e/own_errors.h"
#include "e2e/train_workplace.h"
#include "reflect/base/random.h"
#include "reflect/recipes/synthesize.h"

namespace reflect {
TEST_CASE("a run that is killed ends with the same bytes in every output format") {
  const TempFolder folder;
  Random random(3, "kill");
  for (const std::string& format : output_format_names()) {
    INFO(format);
    const Arguments settings = {"--count", "40", "--format", format};
    const std::string whole = folder / "whole.jsonl", cut = folder / (format + ".jsonl");
    const auto begin = std::chrono::steady_clock::now();
    REQUIRE(run_tool("reflect-gen", own_errors(whole, settings)).exit_code == 0);
    const auto time = std::chrono::steady_clock::now() - begin;
    {
      Tool tool("reflect-gen", own_errors(cut, settings));
      std::this_thread::sleep_for(time * random.uniform());
      tool.send(SIGKILL);
      tool.wait();
    }
    const ToolResult last = run_tool("reflect-gen", own_errors(cut, settings));
    INFO(last.err);
    REQUIRE(last.exit_code == 0);
    CHECK(read_file(cut) == read_file(whole));
    CHECK(std::ranges::count(read_file(cut), '\n') > 3);
    std::filesystem::remove_all(folder / "whole.run");
  }
}

TEST_CASE("reflect-train trains on the pairs that reflect-gen wrote, all of them") {
  const Workplace place;
  const ToolResult written = run_tool(
      "reflect-gen", {"--recipe", "inject", "--teacher.kind", "procedural", "--procedural.family",
                      "words,arithmetic", "--procedural.operations", "2", "--accept", "30",
                      "--format", "dpo", "--quiet", "--output", place.rows});
  INFO(written.err);
  REQUIRE(written.exit_code == 0);
  const ToolResult result = run_tool(
      "reflect-train", place.arguments({"--loss.kind", "dpo", "--max_seq_length", "512",
                                        "--packing.capacity", "1024", "--optimizer.lr", "1e-3"}));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  const Json record = Json::parse(read_file(place.run + "/run.json"));
  INFO(record.dump());
  CHECK(record["rows"]["read"] == 30);
  CHECK(record["rows"]["trained"] == 60);  // both halves
  const std::vector<Json> metrics = metrics_of(place.run);
  REQUIRE(metrics.size() == 10);
  CHECK(metrics.front()["loss"].get<double>() == Approx(std::log(2)).margin(0.02));
  CHECK(metrics.back()["loss"] < metrics.front()["loss"]);
  CHECK(metrics.back()["preference"]["margin"] > 0);
}

}  // namespace reflect
