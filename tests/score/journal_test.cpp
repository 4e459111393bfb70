#include "score/journal.h"

#include <catch2/catch.hpp>
#include <filesystem>

#include "reflect/base/error.h"
#include "reflect/base/file.h"
#include "reflect/base/hash.h"
#include "temp_folder.h"

namespace reflect {
namespace {

std::vector<Json> rows(int from, int count) {
  std::vector<Json> result;
  for (int i = from; i < from + count; ++i)
    result.push_back({{"id", i}, {"text", "line\nbreak é"}, {"nll", 0.1 * i}});
  return result;
}

}  // namespace

TEST_CASE("a journal returns after reopening what was appended") {
  TempFolder folder;
  const std::string path = folder / "j", first = content_hash("1"), second = content_hash("2");
  {
    Journal journal(path);
    CHECK(journal.batches() == 0);
    journal.append(first, rows(0, 3));
    journal.append(second, rows(3, 1));
    CHECK(journal.rows(first) == rows(0, 3));
  }
  Journal journal(path);
  CHECK(journal.batches() == 2);
  CHECK(journal.rows(second) == rows(3, 1));
  CHECK(journal.rows(first) == rows(0, 3));
  CHECK_FALSE(journal.contains(content_hash("3")));
  journal.remove();
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("a journal cut at any byte keeps its whole lines and goes on") {
  TempFolder folder;
  const std::string path = folder / "j", first = content_hash("1"), second = content_hash("2");
  { Journal(path).append(first, rows(0, 2)); }
  const std::size_t one = read_file(path).size();
  { Journal(path).append(second, rows(2, 2)); }
  const std::string whole = read_file(path);
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    write_file_atomic(path, whole.substr(0, size));
    {
      Journal journal(path);
      REQUIRE(journal.contains(first) == (size >= one));
      REQUIRE(journal.contains(second) == (size == whole.size()));
      if (!journal.contains(first)) journal.append(first, rows(0, 2));
      if (!journal.contains(second)) journal.append(second, rows(2, 2));
      REQUIRE(journal.rows(second) == rows(2, 2));
    }
    REQUIRE(read_file(path) == whole);
  }
}

TEST_CASE("two runs cannot write one journal") {
  TempFolder folder;
  const Journal journal(folder / "j");
  CHECK_THROWS_WITH(Journal(folder / "j"), Catch::Contains("in use"));
}

TEST_CASE("a damaged line is an error when the journal is opened, wherever the damage is") {
  TempFolder folder;
  const std::string path = folder / "j", first = content_hash("1"), second = content_hash("2");
  { Journal(path).append(first, rows(0, 2)); }
  const std::size_t one = read_file(path).size();
  { Journal(path).append(second, rows(2, 1)); }
  const std::string whole = read_file(path);
  for (std::size_t at = one; at < whole.size() - 1; ++at) {
    std::string damaged = whole;
    damaged[at] ^= 1;
    write_file_atomic(path, damaged);
    REQUIRE_THROWS_WITH(
        Journal(path),
        Catch::Contains(
            fmt::format("{}:2: damaged, or written by another version (from byte {}", path, one)));
    REQUIRE(read_file(path) == damaged);
  }
}

TEST_CASE("a line that is no journal's is an error") {
  TempFolder folder;
  write_file_atomic(folder / "j", "{}\n");
  CHECK_THROWS_WITH(Journal(folder / "j"), Catch::Contains(folder / "j:1: damaged"));
}

}  // namespace reflect
