#include "recipes/rows_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "reflect/base/error.h"

namespace reflect {
namespace {

constexpr std::size_t kBuffer = 1 << 18;

[[noreturn]] void fail_system(const std::string& path) {
  fail("write", "{}: {}", path, std::generic_category().message(errno));
}

}  // namespace

GrowingFile::GrowingFile(const std::string& path, std::int64_t keep)
    : path_(path), fd_(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666)), size_(keep) {
  struct stat info;
  if (fd_ < 0 || ::fstat(fd_, &info) != 0) fail_system(path);
  if (info.st_size < keep) {
    ::close(std::exchange(fd_, -1));
    fail("write", "{}: has {} bytes, {} were written before", path, info.st_size, keep);
  }
  if (::ftruncate(fd_, keep) != 0 || ::lseek(fd_, keep, SEEK_SET) != keep) fail_system(path);
}

GrowingFile::GrowingFile(GrowingFile&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      size_(other.size_),
      pending_(std::move(other.pending_)) {}

GrowingFile::~GrowingFile() {
  if (fd_ >= 0) ::close(fd_);
}

void GrowingFile::write(std::string_view bytes) {
  pending_ += bytes;
  if (pending_.size() >= kBuffer) hand_over();
}

void GrowingFile::hand_over() {
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const ssize_t count = ::write(fd_, rest.data(), rest.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_system(path_);
    rest.remove_prefix(static_cast<std::size_t>(count));
  }
  size_ += static_cast<std::int64_t>(pending_.size());
  pending_.clear();
}

std::int64_t GrowingFile::sync() {
  hand_over();
  if (::fdatasync(fd_) != 0) fail_system(path_);
  return size_;
}

void RowsFile::write(std::string_view bytes) {
  if (direct_) {
    direct_->write(bytes);
  } else {
    part_->write(bytes);
  }
}

void RowsFile::commit() {
  if (direct_) return direct_->commit();
  part_->sync();
  const MappedFile written(part_->path());
  const std::string_view bytes(reinterpret_cast<const char*>(written.data()), written.size());
  AtomicWriter writer(path_);
  for (std::size_t at = 0; at < bytes.size(); at += kBuffer) {
    writer.write(bytes.substr(at, kBuffer));
  }
  writer.commit();
}

void RowsFile::discard() {
  if (part_) ::unlink(part_->path().c_str());
}

}  // namespace reflect
