#include "score/row_stream.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <thread>

#include "reflect/base/error.h"
#include "temp_folder.h"

namespace reflect {
namespace {

// Line 4 is not a row.
std::string input(int rows) {
  std::string text;
  for (int i = 1; i <= rows; ++i)
    text += i == 4 ? "oops\n"
                   : fmt::format("{{\"id\": \"{}\", \"prompt\": \"p\", \"response\": \"r\"}}\n", i);
  return text;
}

// Takes longer for some rows, so that threads overtake each other.
RowWork slow(InputRow row) {
  if (row.record.id.back() % 3 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  RowWork work;
  work.record = std::move(row.record);
  work.other_reflection = row.other_reflection;
  return work;
}

std::vector<std::string> ids(const std::string& path, const RowStream::Options& options) {
  RowStream rows(path, options, slow);
  std::vector<std::string> result;
  while (const auto work = rows.next()) result.push_back(work->record.id);
  return result;
}

}  // namespace

TEST_CASE("rows come in order whatever the number of threads") {
  TempFolder folder;
  write_file_atomic(folder / "in.jsonl", input(400));
  const std::vector<std::string> one = ids(folder / "in.jsonl", {.lines = {}, .threads = 1});
  CHECK(one.size() == 399);
  CHECK(one[3] == "5");
  for (const std::int64_t threads : {2, 7})
    CHECK(ids(folder / "in.jsonl", {.lines = {}, .threads = threads}) == one);
}

TEST_CASE("a range of lines and a limit bound the stream") {
  TempFolder folder;
  write_file_atomic(folder / "in.jsonl", input(20));
  using Ids = std::vector<std::string>;
  CHECK(ids(folder / "in.jsonl", {.lines = {2, 6}, .threads = 3}) == Ids{"3", "5", "6"});
  CHECK(ids(folder / "in.jsonl", {.lines = {2, 6}, .limit = 2, .threads = 3}) == Ids{"3", "5"});
  CHECK(ids(folder / "in.jsonl", {.lines = {20, 30}}).empty());
}

TEST_CASE("what preparing a row throws comes out at its place, and a stream can be left early") {
  TempFolder folder;
  write_file_atomic(folder / "in.jsonl", input(1000));
  RowStream rows(folder / "in.jsonl", {.lines = {}, .threads = 3}, [](InputRow row) {
    if (row.record.id == "3") fail("test", "row 3");
    return slow(std::move(row));
  });
  CHECK(rows.next()->record.id == "1");
  CHECK(rows.next()->record.id == "2");
  CHECK_THROWS_WITH(rows.next(), Catch::Contains("row 3"));
  CHECK(rows.next()->record.id == "5");
}

TEST_CASE("shards are consecutive and cover all lines") {
  for (const std::size_t lines : {0, 1, 7, 100, 101}) {
    for (const std::int64_t count : {1, 2, 3, 8}) {
      std::size_t end = 0;
      for (std::int64_t i = 0; i < count; ++i) {
        const LineRange range = lines_of({i, count}, lines);
        CHECK(range.begin == end);
        end = range.end;
      }
      CHECK(end >= lines);
    }
  }
}

}  // namespace reflect
