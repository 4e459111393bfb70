#include "reflect/metrics/event_log.h"

#include <bit>
#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <vector>

#include "reflect/base/file.h"
#include "temp_folder.h"

namespace reflect {
namespace {

// The messages of a TFRecord file; requires every checksum to be right.
std::vector<std::string> records_of(const std::string& path) {
  const std::string bytes = read_file(path);
  const auto number = [&](auto value, std::size_t at) {
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
  };
  const auto masked = [](std::string_view text) {
    return std::rotr(crc32c(text), 15) + 0xa282ead8U;
  };
  std::vector<std::string> records;
  for (std::size_t at = 0; at < bytes.size();) {
    const auto length = number(std::uint64_t{}, at);
    REQUIRE(number(std::uint32_t{}, at + 8) == masked(bytes.substr(at, 8)));
    records.push_back(bytes.substr(at + 12, length));
    REQUIRE(number(std::uint32_t{}, at + 12 + length) == masked(records.back()));
    at += 16 + length;
  }
  return records;
}

std::vector<std::string> files_of(const std::string& folder) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    paths.push_back(entry.path());
  return paths;
}

}  // namespace

TEST_CASE("CRC-32C gives the values of RFC 3720") {
  CHECK(crc32c(std::string(32, '\0')) == 0x8a9136aaU);
  CHECK(crc32c(std::string(32, '\xff')) == 0x62a8ab43U);
  CHECK(crc32c("123456789") == 0xe3069283U);
}

TEST_CASE("an event file holds its version, where it starts, and every number by its path") {
  const TempFolder folder;
  {
    EventLog log(folder / "events", 7);
    log.write({{"step", 300},
               {"loss", 0.5},
               {"by_span", {{"output", 2}}},
               {"note", "text"},
               {"ok", true}});
  }
  const std::vector<std::string> files = files_of(folder / "events");
  REQUIRE(files.size() == 1);
  const std::vector<std::string> events = records_of(files[0]);
  REQUIRE(events.size() == 3);
  constexpr std::size_t kTimeBytes = 9;
  CHECK(events[0].substr(kTimeBytes) == std::string("\x10\0\x1a\x0d", 4) + "brain.Event:2");
  CHECK(events[1].substr(kTimeBytes) == "\x10\x07\x3a\x02\x08\x01");
  const std::string loss = std::string("\x0a\x0b\x0a\x04loss\x15\0\0\0\x3f", 13);
  const std::string output = std::string(
      "\x0a\x15\x0a\x0e"
      "by_span/output\x15\0\0\0\x40",
      23);
  CHECK(events[2].substr(kTimeBytes) == "\x10\xac\x02\x2a\x24" + loss + output);
}

TEST_CASE("a run that starts again in the same second gets another event file") {
  const TempFolder folder;
  for (int i = 0; i < 3; ++i) EventLog(folder / "events", i);
  CHECK(files_of(folder / "events").size() == 3);
}

}  // namespace reflect
