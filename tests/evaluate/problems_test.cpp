#include "evaluate/problems.h"

#include <catch2/catch.hpp>

#include "temp_folder.h"

namespace reflect {
namespace {

std::string file_of(const TempFolder& folder, const std::string& text) {
  write_file_atomic(folder / "problems.jsonl", text);
  return folder / "problems.jsonl";
}

TEST_CASE("rows that are no problem are kept apart with their reason") {
  const TempFolder folder;
  const std::string path = file_of(folder, R"({"id": "a", "prompt": "1 + 1?", "answer": "2"})"
                                           "\n"
                                           R"({"id": "b", "prompt": "why?"})"
                                           "\n"
                                           "not json\n"
                                           R"({"id": "a", "prompt": "1 + 1?", "answer": "2"})"
                                           "\n"
                                           R"({"question": "2 + 2?", "answer": "It is 4.\n#### 4"})"
                                           "\n");
  const ProblemSet set = read_problems(path, 0, "");
  REQUIRE(set.problems.size() == 2);
  CHECK(set.problems[0].prompt() == "1 + 1?");
  CHECK(set.problems[1].answer == "4");
  CHECK(set.problems[0].hash != set.problems[1].hash);
  REQUIRE(set.rejected.size() == 3);
  CHECK(set.rejected[0].row == "b");
  CHECK(set.rejected[0].reason == "no gold answer");
  CHECK(set.rejected[1].reason == "repeated problem");
  CHECK(set.rejected[2].row == "line 3");
  CHECK(set.rejected[2].reason == "not a JSON object");
  CHECK_THAT(set.malformed, Catch::StartsWith(path + ": 1 malformed row left out: 1 not a JSON "
                                                     "object; line 3: not a JSON object: "));
  CHECK(read_problems(path, 1, "").problems.size() == 1);
}

TEST_CASE("groups come from any field of the row") {
  const TempFolder folder;
  const std::string path = file_of(
      folder,
      R"({"prompt": "a", "answer": "1", "operations": 4, "meta": {"kind": "graph", "tags": [1]}})"
      "\n"
      R"({"prompt": "b", "answer": "1"})"
      "\n");
  const auto groups = [&](const std::string& field) {
    const ProblemSet set = read_problems(path, 0, field);
    return std::pair(set.problems[0].group, set.problems[1].group);
  };
  CHECK(groups("operations") == std::pair<std::string, std::string>("4", "-"));
  CHECK(groups("meta.kind") == std::pair<std::string, std::string>("graph", "-"));
  CHECK(groups("meta.tags") == std::pair<std::string, std::string>("[1]", "-"));
  CHECK_THROWS_WITH(groups("meta.kind.more"),
                    Catch::Contains("--group-by meta.kind.more: none of 2 problems of " + path));
  CHECK(groups("") == std::pair<std::string, std::string>("", ""));
}

TEST_CASE("two different problems with one id are an error, and so is a file without any") {
  const TempFolder folder;
  CHECK_THROWS_WITH(read_problems(file_of(folder, R"({"id": "a", "prompt": "x", "answer": "1"})"
                                                  "\n"
                                                  R"({"id": "a", "prompt": "y", "answer": "1"})"
                                                  "\n"),
                                  0, ""),
                    Catch::Contains("two different problems have the id \"a\""));
  CHECK_THROWS_WITH(read_problems(file_of(folder, ""), 0, ""),
                    Catch::Contains("no problem with a gold answer"));
}

}  // namespace
}  // namespace reflect
