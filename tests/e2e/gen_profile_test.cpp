// What reflect-gen says about a run: error profiles, the manifest, the data card and the screen.
#include <catch2/catch.hpp>

#include "e2e/run_tool.h"
#include "reflect/data/record.h"

namespace reflect {
namespace {

using Arguments = std::vector<std::string>;
using Catch::Matchers::Contains;
using Catch::Matchers::Matches;

ToolResult inject(const std::string& output, const Arguments& more) {
  Arguments arguments = {"--recipe",
                         "inject",
                         "--teacher.kind",
                         "procedural",
                         "--output",
                         output,
                         "--procedural.family",
                         "arithmetic",
                         "--procedural.operations",
                         "4-8"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run_tool("reflect-gen", arguments);
}

Json manifest_in(const std::string& folder) {
  return Json::parse(read_file(folder + "/traces.manifest.json"));
}

}  // namespace

TEST_CASE("a profile measured from rows is followed and shown beside the output's own") {
  const TempFolder folder;
  const std::string output = folder / "traces.jsonl", profile = folder / "profile.json";
  const ToolResult first =
      inject(folder / "first.jsonl", {"--count", "300", "--quiet", "--set.kinds",
                                      "wrong_result,off_by_one", "--set.notice_after", "3,1"});
  INFO(first.err);
  REQUIRE(first.exit_code == 0);
  const ToolResult measured = run_tool(
      "reflect-gen", {"--profile-only", "--input", folder / "first.jsonl", "--output", profile});
  INFO(measured.err);
  REQUIRE(measured.exit_code == 0);
  const Json wanted = Json::parse(read_file(profile));
  CHECK(wanted.at("kinds").size() == 2);
  CHECK(wanted ==
        Json::parse(read_file(folder / "first.manifest.json")).at("error_profile").at("own"));

  const ToolResult result = inject(output, {"--count", "600", "--quiet", "--error-profile", profile,
                                            "--clean-fraction", "0.25"});
  INFO(result.err << result.out);
  REQUIRE(result.exit_code == 0);
  CHECK_THAT(result.out, Contains("wanted") && Contains("off_by_one") && Contains("at 90-100 %"));
  const Json manifest = manifest_in(folder.path());
  const Json& own = manifest.at("error_profile").at("own");
  CHECK(manifest.at("error_profile").at("wanted") == wanted);
  CHECK(own.at("kinds").size() == 2);
  CHECK(own["kinds"]["off_by_one"].get<double>() ==
        Approx(wanted["kinds"]["off_by_one"].get<double>()).margin(0.12));
  CHECK(own["notice_after"][1].get<double>() ==
        Approx(wanted["notice_after"][1].get<double>()).margin(0.12));
  // 5 standard deviations of 600 draws.
  CHECK(manifest["counts"]["proofs"]["clean"].get<double>() / 600 == Approx(0.25).margin(0.089));

  // Another profile is another recipe.
  CHECK(manifest["recipe_hash"] !=
        Json::parse(read_file(folder / "first.manifest.json"))["recipe_hash"]);
  const ToolResult wrong = inject(output, {"--count", "1", "--error-profile", folder / "no.json"});
  CHECK(wrong.exit_code != 0);
  CHECK_THAT(wrong.err, Contains("no.json"));
}

TEST_CASE("the data card says what the rows are and how they were made") {
  const TempFolder folder;
  const ToolResult result = inject(folder / "traces.jsonl",
                                   {"--accept", "50", "--quiet", "--set.system_prompt", "Think."});
  REQUIRE(result.exit_code == 0);
  const std::string card = read_file(folder / "traces.card.md");
  INFO(card);
  const Json manifest = manifest_in(folder.path());
  CHECK_THAT(card, Contains("50 reasoning traces") && Contains("Licence: (fill in") &&
                       Contains("recipe `inject`") && Contains("```\nThink.\n```") &&
                       Contains("arithmetic problems") && Contains("- procedural\n"));
  CHECK_THAT(card, Contains(manifest["recipe_hash"].get<std::string>()));
  for (const auto& [proof, count] : manifest["counts"]["proofs"].items()) {
    CHECK_THAT(card, Contains("| " + proof + " | " + count.dump() + " |"));
  }
  CHECK(manifest["models"] == Json::array({{{"kind", "procedural"}}}));
  CHECK(manifest["format"] == "records");
  // Equal runs, equal files.
  const std::string before = read_file(folder / "traces.manifest.json");
  REQUIRE(inject(folder / "traces.jsonl",
                 {"--accept", "50", "--quiet", "--set.system_prompt", "Think."})
              .exit_code == 0);
  CHECK(read_file(folder / "traces.manifest.json") == before);
  CHECK(read_file(folder / "traces.card.md") == card);
}

TEST_CASE("the screen shows a plain last line where it is no terminal, and nothing when quiet") {
  const TempFolder folder;
  const ToolResult result = inject(folder / "traces.jsonl", {"--count", "40"});
  CHECK_THAT(result.err, Matches("[^]*traces: 40/40 problems, [^\n]*, 40 accepted, 0 rejected\n"));
  CHECK(result.err.find('\r') == std::string::npos);
  CHECK(inject(folder / "traces.jsonl", {"--count", "40", "--quiet"}).err.empty());
  const ToolResult asked = run_tool(
      "reflect-gen", {"--recipe", "own_errors", "--teacher.kind", "local", "--teacher.model",
                      std::string(REFLECT_SOURCE_DIR) + "/data/demo/model",
                      "--teacher.price.completion", "1000000", "--teacher.sampling.max_new_tokens",
                      "60", "--count", "8", "--threads", "1", "--output", folder / "own.jsonl"});
  INFO(asked.err);
  CHECK_THAT(asked.err, Matches("[^]*traces: 8/8 problems, [^\n]*, [0-9]+ accepted, [0-9]+ "
                                "rejected, 0 in flight, [0-9]+ tokens/s, \\$[0-9.]+\n[^]*"));
}

}  // namespace reflect
