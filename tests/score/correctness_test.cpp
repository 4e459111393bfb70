#include "score/correctness.h"

#include <catch2/catch.hpp>

namespace reflect {
namespace {

std::optional<bool> verdict(const char* row, const std::string& by = "auto") {
  return correctness(record_of(Json::parse(row), "row"), by);
}

}  // namespace

TEST_CASE("the final answer is compared with the gold answer") {
  CHECK(
      verdict(
          R"({"prompt":"q","answer":"12","response":"<thinking>\nx\n</thinking>\n<output>12.0</output>"})") ==
      true);
  CHECK(
      verdict(
          R"({"prompt":"q","answer":"12","response":"<thinking>\nx\n</thinking>\n<output>13</output>"})") ==
      false);
  CHECK(verdict(R"({"prompt":"q","answer":12,"response":"So it is 12.\n#### 12"})") == true);
  CHECK(verdict(R"({"prompt":"q","answer":12,"response":"So it is 12.\n#### 13"})") == false);
  CHECK(verdict(R"({"prompt":"q","answer":"12","response":"12"})") == true);
  CHECK(verdict(R"({"prompt":"q","answer":"12","response":"13"})") == false);
  CHECK(verdict(R"({"question":"q","answer":"3+4=7\n#### 7"})") == true);
}

TEST_CASE("what cannot be told is not called wrong") {
  CHECK_FALSE(verdict(R"({"prompt":"q","response":"12"})").has_value());
  CHECK_FALSE(verdict(R"({"prompt":"q","answer":"12","response":"It is surely 13."})").has_value());
  CHECK_FALSE(verdict(R"({"prompt":"q","answer":"a poem","response":"another poem"})").has_value());
  CHECK(verdict(R"({"prompt":"q","answer":"a poem","response":"a  poem"})") == true);
}

TEST_CASE("a recorded verdict wins over the checker, where it is asked for") {
  const char* row =
      R"({"prompt":"q","answer":"12","response":"13","verdict":{"right":true,"reason":"x"}})";
  CHECK(verdict(row) == true);
  CHECK(verdict(row, "recorded") == true);
  CHECK(verdict(row, "checker") == false);
  CHECK_FALSE(verdict(row, "off").has_value());
  CHECK(verdict(R"({"prompt":"q","response":"13","correct":false})") == false);
  CHECK(verdict(R"({"prompt":"q","response":"13","lineage":{"verdict":false}})") == false);
  CHECK_FALSE(verdict(R"({"prompt":"q","answer":"12","response":"13"})", "recorded").has_value());
  CHECK(verdict(R"({"prompt":"q","answer":"12","response":"13","correct":"yes"})") == false);
}

}  // namespace reflect
