#include "reflect/base/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "byte_sink.h"
#include "reflect/base/error.h"

namespace reflect {
namespace fs = std::filesystem;
namespace {

[[noreturn]] void fail_system(std::string_view op, const std::string& path) {
  fail(op, "{}: {}", path, std::generic_category().message(errno));
}

// An open file descriptor that closes itself.
struct Descriptor {
  explicit Descriptor(int number) : fd(number) {}
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int fd;
};

void sync_folder_of(const std::string& path) {
  const std::string folder = fs::path(path).parent_path().string();
  const Descriptor handle(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_CLOEXEC));
  if (handle.fd >= 0) ::fsync(handle.fd);  // some network file systems refuse; the rename stands
}

// The file to replace: behind symbolic links, so that a link stays one.
std::string link_target(const std::string& path) {
  std::error_code error;
  if (!fs::is_symlink(path, error)) return path;
  const fs::path target = fs::weakly_canonical(path, error);
  return error ? path : target.string();
}

bool is_folder(const std::string& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

bool is_device_or_pipe(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode);
}

constexpr std::string_view kTemporary = ".tmp";  // then the process

bool is_temporary_of(const std::string& target, std::string_view name) {
  if (!name.starts_with(target) || !name.substr(target.size()).starts_with(kTemporary)) {
    return false;
  }
  const std::string_view process = name.substr(target.size() + kTemporary.size());
  return !process.empty() &&
         std::ranges::all_of(process, [](char each) { return each >= '0' && each <= '9'; });
}

// Removes what killed processes have left of `target`. A process that still writes holds a lock,
// which a file system may share between machines; where it knows no locks nothing is removed.
void remove_abandoned(const fs::path& target) {
  std::error_code error;
  const fs::path folder = target.has_parent_path() ? target.parent_path() : fs::path(".");
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (!is_temporary_of(target.filename(), at->path().filename().string())) continue;
    const Descriptor file(::open(at->path().c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
    if (file.fd >= 0 && ::flock(file.fd, LOCK_EX | LOCK_NB) == 0) ::unlink(at->path().c_str());
  }
}

// Creates the file and takes the lock that says that it is being written.
int open_locked(const std::string& path) {
  for (int attempt = 0; attempt < 3; ++attempt) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    struct stat info;
    if (fd < 0 || ::flock(fd, LOCK_EX | LOCK_NB) != 0) return fd;
    if (::fstat(fd, &info) != 0 || info.st_nlink != 0) return fd;
    ::close(fd);  // another process took it for abandoned before the lock was held
  }
  return -1;
}

Compression compression_of(const std::string& path) {
  if (path.ends_with(".gz")) return Compression::kGzip;
  if (path.ends_with(".zst")) return Compression::kZstd;
  return Compression::kNone;
}

}  // namespace

std::string read_file(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info;
  if (file.fd < 0 || ::fstat(file.fd, &info) != 0) fail_system("read", path);
  std::string bytes(static_cast<std::size_t>(info.st_size) + 4096, '\0');
  std::size_t size = 0;
  while (true) {
    if (size == bytes.size()) bytes.resize(2 * size);
    const ssize_t count = ::read(file.fd, bytes.data() + size, bytes.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_system("read", path);
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  bytes.resize(size);
  return bytes;
}

void make_folder(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) fail("make_folder", "{}: {}", path, error.message());
  if (!is_folder(path)) fail("make_folder", "{}: exists and is not a folder", path);
}

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info;
  if (file.fd < 0 || ::fstat(file.fd, &info) != 0) fail_system("map", path);
  if (!S_ISREG(info.st_mode)) fail("map", "{}: is not a regular file", path);
  size_ = static_cast<std::size_t>(info.st_size);
  if (size_ == 0) return;
  void* bytes = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (bytes == MAP_FAILED) fail_system("map", path);
  data_ = static_cast<const std::uint8_t*>(bytes);
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<std::uint8_t*>(data_), size_);
}

struct AtomicWriter::State {
  std::string target;     // empty: standard output, a device or a pipe, written directly
  std::string temporary;  // removed unless committed
  int fd = -1;
  std::unique_ptr<ByteSink> sink;

  void open(const std::string& path) {
    if (path == "-") {
      fd = STDOUT_FILENO;
    } else if (is_device_or_pipe(path)) {
      fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    } else {
      target = link_target(path);
      if (is_folder(target)) fail("write", "{}: is a folder; give a file's name", path);
      remove_abandoned(target);
      temporary = fmt::format("{}{}{}", target, kTemporary, ::getpid());
      fd = open_locked(temporary);
    }
    if (fd < 0) {
      fail("write", "{}: {}; does the folder exist, and may you write there?", path,
           std::generic_category().message(errno));
    }
    sink = make_byte_sink(fd, path == "-" ? "standard output" : path, compression_of(path));
  }

  ~State() {
    if (fd > STDOUT_FILENO) ::close(fd);
    if (!temporary.empty()) ::unlink(temporary.c_str());
  }
};

AtomicWriter::AtomicWriter(const std::string& path) : state_(std::make_unique<State>()) {
  state_->open(path);
}

AtomicWriter::~AtomicWriter() = default;
AtomicWriter::AtomicWriter(AtomicWriter&&) noexcept = default;

void AtomicWriter::write(std::string_view bytes) {
  state_->sink->write(bytes);
}

void AtomicWriter::commit() {
  State& s = *state_;
  s.sink->finish();
  if (s.target.empty()) return;
  if (::fsync(s.fd) != 0) fail_system("write", s.target);
  if (::rename(s.temporary.c_str(), s.target.c_str()) != 0) fail_system("write", s.target);
  s.temporary.clear();
  sync_folder_of(s.target);
}

void write_file_atomic(const std::string& path, std::string_view bytes) {
  AtomicWriter writer(path);
  writer.write(bytes);
  writer.commit();
}

}  // namespace reflect
