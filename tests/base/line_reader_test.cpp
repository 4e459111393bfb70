#include <catch2/catch.hpp>
#include <filesystem>

#include "reflect/base/error.h"
#include "reflect/base/file.h"
#include "reflect/base/random.h"
#include "temp_folder.h"

using namespace reflect;
using Catch::Matchers::Contains;

namespace {

std::vector<std::string> lines_of(const std::string& path) {
  std::vector<std::string> lines;
  LineReader reader(path);
  while (const auto line = reader.next()) {
    lines.emplace_back(*line);
    CHECK(reader.line_number() == lines.size());
  }
  CHECK_FALSE(reader.next());
  return lines;
}

std::vector<std::string> lines_in(const std::string& bytes) {
  const TempFolder folder;
  write_file_atomic(folder / "a", bytes);
  return lines_of(folder / "a");
}

using Lines = std::vector<std::string>;

// Lines that do not compress away, longer in sum than any buffer.
Lines noise_lines() {
  Random random(1, "noise");
  Lines lines;
  for (int i = 0; i < 5000; ++i) {
    std::string line;
    for (auto length = random.below(400); length > 0; --length) {
      line += static_cast<char>(random.between(' ', '~'));
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

std::string joined(const Lines& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

}  // namespace

TEST_CASE("lines of plain text") {
  CHECK(lines_in("") == Lines{});
  CHECK(lines_in("\n") == Lines{""});
  CHECK(lines_in("a\nb\n") == Lines{"a", "b"});
  CHECK(lines_in("a\nb") == Lines{"a", "b"});
  CHECK(lines_in("a\r\nb\r\n\r\nc\r") == Lines{"a", "b", "", "c\r"});
  CHECK(lines_in("\n\na") == Lines{"", "", "a"});
  CHECK(lines_in("\xef\xbb\xbf{}\n\xef\xbb\xbf") == Lines{"{}", "\xef\xbb\xbf"});
}

TEST_CASE("binary bytes are lines like any") {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  CHECK(joined(lines_in(bytes)) == bytes + "\n");
  CHECK(lines_in(std::string("\x1f", 1)) == Lines{"\x1f"});
  CHECK(lines_in("\x28\xb5\x2f") == Lines{"\x28\xb5\x2f"});
}

TEST_CASE("lines longer than every buffer") {
  const std::string huge(5'000'000, 'x');
  CHECK(lines_in(huge) == Lines{huge});
  CHECK(lines_in("a\n" + huge + "\r\nb") == Lines{"a", huge, "b"});
}

TEST_CASE("what the writer compresses the reader reads") {
  const TempFolder folder;
  const Lines lines = noise_lines();
  for (const char* name : {"a", "a.gz", "a.zst"}) {
    INFO(name);
    AtomicWriter writer(folder / name);
    for (const std::string& line : lines) writer.write(line + "\n");
    writer.commit();
    CHECK(lines_of(folder / name) == lines);
    // The format is told by the bytes, not by the name.
    std::filesystem::rename(folder / name, folder / "renamed");
    CHECK(lines_of(folder / "renamed") == lines);
  }
}

TEST_CASE("one large write compresses like many small ones") {
  const TempFolder folder;
  const Lines lines = noise_lines();
  for (const char* name : {"a.gz", "a.zst"}) {
    write_file_atomic(folder / name, joined(lines));
    CHECK(read_file(folder / name).size() < joined(lines).size());
    CHECK(lines_of(folder / name) == lines);
  }
}

TEST_CASE("compressed files of several parts") {
  const TempFolder folder;
  for (const char* name : {"a.gz", "a.zst"}) {
    INFO(name);
    write_file_atomic(folder / name, "one\ntw");
    std::string bytes = read_file(folder / name);
    write_file_atomic(folder / name, "o\nthree\n");
    bytes += read_file(folder / name);
    write_file_atomic(folder / name, "");
    bytes += read_file(folder / name);
    write_file_atomic(folder / "parts", bytes);
    CHECK(lines_of(folder / "parts") == Lines{"one", "two", "three"});
  }
}

TEST_CASE("a truncated compressed file is an error that names the byte") {
  const TempFolder folder;
  for (const char* name : {"a.gz", "a.zst"}) {
    write_file_atomic(folder / name, joined(noise_lines()));
    const std::string bytes = read_file(folder / name);
    for (const std::size_t size :
         {std::size_t{4}, std::size_t{11}, bytes.size() / 2, bytes.size() - 5, bytes.size() - 1}) {
      INFO(name << " cut to " << size << " of " << bytes.size());
      write_file_atomic(folder / "cut", bytes.substr(0, size));
      CHECK_THROWS_WITH(
          lines_of(folder / "cut"),
          Contains("cut: ") && Contains("stream ends early at byte " + std::to_string(size)));
    }
  }
}

TEST_CASE("a damaged compressed file is an error") {
  const TempFolder folder;
  for (const char* name : {"a.gz", "a.zst"}) {
    write_file_atomic(folder / name, joined(noise_lines()));
    const std::string good = read_file(folder / name);
    for (const std::size_t at : {good.size() / 3, good.size() / 2, good.size() - 3}) {
      INFO(name << " at " << at);
      std::string bytes = good;
      bytes[at] = static_cast<char>(bytes[at] ^ 0x55);
      write_file_atomic(folder / "bad", bytes);
      CHECK_THROWS_WITH(lines_of(folder / "bad"), Contains("stream is damaged near byte"));
    }
    write_file_atomic(folder / "bad", good + "garbage");
    CHECK_THROWS_AS(lines_of(folder / "bad"), Error);
  }
  write_file_atomic(folder / "bad", "\x1f\x8b but not gzip");
  CHECK_THROWS_WITH(lines_of(folder / "bad"), Contains("damaged"));
  write_file_atomic(folder / "bad", "\x28\xb5\x2f\xfd but not zstd");
  CHECK_THROWS_AS(lines_of(folder / "bad"), Error);
}
