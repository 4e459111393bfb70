#include "reflect/base/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>

#include "reflect/base/error.h"
#include "temp_folder.h"

using namespace reflect;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

std::size_t files_in(const TempFolder& folder) {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()));
}

// While it lives, files of this process cannot grow beyond `bytes`: a full disk in small.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit = {bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_ = {};
  void (*handler_)(int) = SIG_DFL;
};

}  // namespace

TEST_CASE("files are written as one step and read back") {
  const TempFolder folder;
  const std::string bytes("line\0\r\n\xff", 8);
  write_file_atomic(folder / "a", bytes);
  CHECK(read_file(folder / "a") == bytes);
  write_file_atomic(folder / "a", "");
  CHECK(read_file(folder / "a").empty());
  CHECK(files_in(folder) == 1);
  CHECK_FALSE(read_file("/proc/self/status").empty());
}

TEST_CASE("a writer without commit leaves no trace") {
  const TempFolder folder;
  write_file_atomic(folder / "a", "old");
  {
    AtomicWriter writer(folder / "a");
    writer.write("new");
    CHECK(read_file(folder / "a") == "old");
  }
  CHECK(read_file(folder / "a") == "old");
  CHECK(files_in(folder) == 1);
}

TEST_CASE("what a killed process has left of a file is removed, what one still writes is not") {
  const TempFolder folder;
  for (const char* name : {"a.tmp1", "a.tmp", "a.tmpfs", "a.tmp1x", "ba.tmp1", "a1.tmp1"}) {
    write_file_atomic(folder / name, "part");
  }
  const int fd = ::open((folder / "a.tmp22").c_str(), O_WRONLY | O_CREAT, 0600);
  REQUIRE(::flock(fd, LOCK_EX) == 0);
  write_file_atomic(folder / "a", "whole");
  CHECK_FALSE(fs::exists(folder / "a.tmp1"));
  CHECK(files_in(folder) == 7);
  ::close(fd);
  write_file_atomic(folder / "a", "again");
  CHECK(read_file(folder / "a") == "again");
  CHECK(files_in(folder) == 6);
}

TEST_CASE("a full disk keeps the old file and leaves no temporary") {
  const TempFolder folder;
  const std::string big(1 << 20, 'x');
  for (const char* name : {"a", "a.gz", "a.zst"}) {
    INFO(name);
    write_file_atomic(folder / name, "old");
    const std::string before = read_file(folder / name);
    {
      const FileSizeLimit limit(std::string_view(name) == "a" ? 100000 : 20);
      CHECK_THROWS_WITH(write_file_atomic(folder / name, big), Contains(folder / name));
    }
    CHECK(read_file(folder / name) == before);
  }
  CHECK(files_in(folder) == 3);
}

TEST_CASE("a full device is an error") {
  CHECK_THROWS_WITH(write_file_atomic("/dev/full", "x"), Contains("/dev/full: No space left"));
}

TEST_CASE("devices and pipes are written directly") {
  write_file_atomic("/dev/null", "x");
  struct stat info;
  REQUIRE(::stat("/dev/null", &info) == 0);
  CHECK(S_ISCHR(info.st_mode));
}

TEST_CASE("a symbolic link stays one") {
  const TempFolder folder;
  write_file_atomic(folder / "real", "old");
  fs::create_symlink("real", folder / "link");
  write_file_atomic(folder / "link", "new");
  CHECK(fs::is_symlink(folder / "link"));
  CHECK(read_file(folder / "real") == "new");
}

TEST_CASE("file errors name the path and the reason") {
  const TempFolder folder;
  CHECK_THROWS_WITH(read_file(folder / "none"), Contains("none: No such file"));
  CHECK_THROWS_WITH(read_file(folder.path()), Contains("Is a directory"));
  CHECK_THROWS_WITH(LineReader(folder / "none"), Contains("none: No such file"));
  CHECK_THROWS_WITH(LineReader(folder.path()), Contains("Is a directory"));
  CHECK_THROWS_WITH(MappedFile(folder / "none"), Contains("none: No such file"));
  CHECK_THROWS_WITH(MappedFile(folder.path()), Contains("not a regular file"));
  CHECK_THROWS_WITH(AtomicWriter(folder / "no/file"), Contains("does the folder exist"));
  CHECK_THROWS_WITH(AtomicWriter(folder.path()), Contains("is a folder"));
  write_file_atomic(folder / "file", "");
  CHECK_THROWS_WITH(make_folder(folder / "file"), Contains("file"));
  CHECK_THROWS_WITH(make_folder(folder / "file/sub"), Contains("sub"));
}

TEST_CASE("make_folder creates parents and accepts what is there") {
  const TempFolder folder;
  make_folder(folder / "a/b/c");
  make_folder(folder / "a/b/c");
  CHECK(fs::is_directory(folder / "a/b/c"));
}

TEST_CASE("a map shows the file's bytes") {
  const TempFolder folder;
  write_file_atomic(folder / "a", "bytes");
  const MappedFile map(folder / "a");
  CHECK(std::string(reinterpret_cast<const char*>(map.data()), map.size()) == "bytes");
  CHECK(map.path() == folder / "a");
  write_file_atomic(folder / "empty", "");
  CHECK(MappedFile(folder / "empty").size() == 0);
}
