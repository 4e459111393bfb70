#include "evaluate/contamination.h"

#include <catch2/catch.hpp>

#include "temp_folder.h"

namespace reflect {
namespace {

Problem problem(const std::string& id, const std::string& prompt) {
  return {id, "", {{"user", prompt}}, "1", ""};
}

using Ids = std::vector<std::string>;

TEST_CASE("problems are found in training rows exactly and by thirteen words") {
  const TempFolder folder;
  const std::string rows = folder / "train.jsonl";
  write_file_atomic(
      rows,
      R"({"prompt": "A Farmer has 3 hens, and each lays 2 eggs!", "response": "6"})"
      "\n"
      R"({"prompt": "other", "response": "say: one two three four five six seven eight nine ten eleven twelve thirteen fourteen"})"
      "\n"
      R"({"prompt": "what is 7 times 8 in this long row", "response": "56"})"
      "\n");
  const Contamination got = measure_contamination(
      {problem("exact", "a farmer has 3 hens and each lays 2 eggs"),
       problem("thirteen",
               "zero one two three four five six seven eight nine ten eleven twelve "
               "thirteen"),
       problem("twelve", "zero one two three four five six seven eight nine ten eleven twelve zzz"),
       problem("short", "What is 7 times 8?"), problem("clean", "What is 7 times 9?"),
       problem("signs", "?!")},
      rows);
  CHECK(got.rows == 3);
  CHECK(got.exact == Ids{"exact"});
  CHECK(got.partial == Ids{"thirteen", "short"});
}

}  // namespace
}  // namespace reflect
