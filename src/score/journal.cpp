#include "score/journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "reflect/base/error.h"
#include "reflect/base/hash.h"

namespace reflect {

namespace {

constexpr std::size_t kKeySize = 32;
constexpr std::size_t kHeadSize = kKeySize + 1 + 16 + 1;  // key, hash and the spaces behind them

// What stands before a batch's rows.
std::string head_of(std::string_view key, std::string_view rows) {
  const std::string both = std::string(key) + " " + std::string(rows);
  return fmt::format("{} {:016x} ", key, content_hash64(both));
}

bool is_whole(std::string_view line) {
  if (line.size() <= kHeadSize) return false;
  return line.starts_with(head_of(line.substr(0, kKeySize), line.substr(kHeadSize)));
}

[[noreturn]] void fail_io(const std::string& path, std::string_view what) {
  fail("journal", "cannot {} {}: {}", what, path, std::strerror(errno));
}

void write_all(int file, const std::string& path, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR) fail_io(path, "write");
    if (written > 0) bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

Journal::Journal(std::string path) : path_(std::move(path)) {
  file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file_ < 0) fail_io(path_, "open");
  if (::flock(file_, LOCK_EX | LOCK_NB) != 0)
    fail("journal", "{} is in use; another run writes this output: wait for it or choose another",
         path_);
  load();
}

Journal::~Journal() {
  ::close(file_);
}

void Journal::load() {
  if (struct stat status; ::fstat(file_, &status) != 0 || status.st_size == 0) return;
  {
    const MappedFile map(path_);
    const std::string_view bytes(reinterpret_cast<const char*>(map.data()), map.size());
    std::size_t number = 1;
    for (std::size_t end; (end = bytes.find('\n', size_)) != bytes.npos;
         size_ = end + 1, ++number) {
      const std::string_view line = bytes.substr(size_, end - size_);
      if (!is_whole(line))
        fail(
            "journal",
            "{}:{}: damaged, or written by another version (from byte {} to {}); take the line out "
            "(sed -i {}d) to score its rows again, or delete the file to score all again",
            path_, number, size_, end, number);
      offsets_[std::string(line.substr(0, kKeySize))] = {size_ + kHeadSize,
                                                         line.size() - kHeadSize};
    }
  }
  if (::ftruncate(file_, static_cast<off_t>(size_)) != 0) fail_io(path_, "cut the end of");
}

std::vector<std::string> Journal::keys() const {
  std::vector<std::string> keys;
  for (const auto& [key, line] : offsets_) keys.push_back(key);
  return keys;
}

std::vector<Json> Journal::rows(const std::string& key) const {
  const Line& line = offsets_.at(key);
  std::string bytes(line.size, '\0');
  for (std::size_t done = 0; done < line.size;) {
    const ssize_t got = ::pread(file_, bytes.data() + done, line.size - done,
                                static_cast<off_t>(line.begin + done));
    if (got <= 0) fail_io(path_, "read");
    done += static_cast<std::size_t>(got);
  }
  const Json rows = Json::parse(bytes, nullptr, false);
  if (!rows.is_array())
    fail("journal", "{} is damaged at byte {}; delete it and run again", path_, line.begin);
  return rows.get<std::vector<Json>>();
}

void Journal::append(const std::string& key, const std::vector<Json>& rows) {
  const std::string text = Json(rows).dump();
  write_all(file_, path_, head_of(key, text) + text + "\n");
  if (::fsync(file_) != 0) fail_io(path_, "sync");
  offsets_[key] = {size_ + kHeadSize, text.size()};
  size_ += kHeadSize + text.size() + 1;
}

void Journal::remove() {
  ::unlink(path_.c_str());
}

}  // namespace reflect
