#include "evaluate/answer_store.h"

#include <catch2/catch.hpp>
#include <filesystem>

#include "reflect/base/error.h"
#include "temp_folder.h"

namespace reflect {
namespace {

const AnswerKey kFirst = {"arm", "problem", 0};
const AnswerKey kSecond = {"arm", "problem", 1};

Answer answer(const std::string& response) {
  return {response, "end", 3, 4, -1.5};
}

TEST_CASE("answers come back in the next run") {
  const TempFolder folder;
  const std::string path = folder / "rows.jsonl";
  {
    AnswerStore store(path);
    CHECK(store.find(kFirst) == nullptr);
    store.add(kFirst, answer("a \"quoted\"\nanswer"));
    store.add(kSecond, answer("b"));
  }
  const AnswerStore store(path);
  REQUIRE(store.find(kFirst) != nullptr);
  CHECK(store.find(kFirst)->response == "a \"quoted\"\nanswer");
  CHECK(store.find(kFirst)->log_probability == -1.5);
  CHECK(store.find(kSecond)->new_tokens == 4);
  CHECK(store.find({"other arm", "problem", 0}) == nullptr);
}

TEST_CASE("a last line that a kill cut off is dropped and written again") {
  const TempFolder folder;
  const std::string path = folder / "rows.jsonl";
  {
    AnswerStore store(path);
    store.add(kFirst, answer("a"));
    store.add(kSecond, answer("b"));
  }
  const std::string whole = read_file(path);
  write_file_atomic(path, whole.substr(0, whole.size() - 20));
  {
    AnswerStore store(path);
    CHECK(store.find(kFirst) != nullptr);
    CHECK(store.find(kSecond) == nullptr);
    store.add(kSecond, answer("b"));
  }
  CHECK(read_file(path) == whole);
}

TEST_CASE("answers that are not of this run stay in a file of their own") {
  const TempFolder folder;
  const std::string path = folder / "rows.jsonl", others = folder / "others.jsonl";
  const Json first = json_of(kFirst, answer("a")), second = json_of(kSecond, answer("b"));
  {
    AnswerStore store(path, others);
    store.add(kFirst, answer("a"));
    store.add(kSecond, answer("b"));
    CHECK(store.replace_file({first, second}) == 0);
    CHECK_FALSE(std::filesystem::exists(others));
    CHECK(store.replace_file({second}) == 1);
  }
  CHECK(read_file(path) == second.dump() + "\n");
  CHECK(read_file(others) == first.dump() + "\n");
  AnswerStore store(path, others);
  CHECK(store.find(kFirst)->response == "a");
  CHECK(store.replace_file({first, second}) == 0);
  CHECK_FALSE(std::filesystem::exists(others));
}

TEST_CASE("a file that is something else is an error with its line") {
  const TempFolder folder;
  const std::string path = folder / "rows.jsonl";
  write_file_atomic(path, "{\"prompt\": \"x\"}\n");
  CHECK_THROWS_WITH(AnswerStore(path), Catch::Contains(path + ":1"));
  CHECK_THROWS_AS(AnswerStore(folder / "no/such/folder.jsonl"), Error);
}

}  // namespace
}  // namespace reflect
