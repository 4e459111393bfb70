#include "byte_source.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <system_error>
#include <vector>

#include "reflect/base/error.h"

namespace reflect {
namespace {

constexpr std::size_t kChunk = 1 << 18;

// Bytes as they lie in the file. `peek` looks at the first bytes without consuming them.
class PlainSource : public ByteSource {
 public:
  explicit PlainSource(const std::string& path) : path_(path == "-" ? "standard input" : path) {
    fd_ = path == "-" ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0) fail("read", "{}: {}", path_, std::generic_category().message(errno));
  }
  ~PlainSource() override {
    if (fd_ > STDIN_FILENO) ::close(fd_);
  }
  PlainSource(const PlainSource&) = delete;
  PlainSource& operator=(const PlainSource&) = delete;

  std::string_view peek(std::size_t size) {
    while (head_.size() < size) {
      char bytes[8];
      const std::size_t count = read_file_bytes(bytes, std::min(sizeof bytes, size - head_.size()));
      if (count == 0) break;
      head_.append(bytes, count);
    }
    return head_;
  }

  std::size_t read(char* buffer, std::size_t size) override {
    if (head_.empty()) return read_file_bytes(buffer, size);
    const std::size_t count = std::min(size, head_.size());
    std::memcpy(buffer, head_.data(), count);
    head_.erase(0, count);
    return count;
  }

  const std::string& name() const { return path_; }

 private:
  std::size_t read_file_bytes(char* buffer, std::size_t size) {
    ssize_t count;
    do count = ::read(fd_, buffer, size);
    while (count < 0 && errno == EINTR);
    if (count < 0) fail("read", "{}: {}", path_, std::generic_category().message(errno));
    return static_cast<std::size_t>(count);
  }

  std::string path_;
  std::string head_;
  int fd_ = -1;
};

// The compressed bytes that a decoder works on, with their place in the file.
class CompressedInput {
 public:
  explicit CompressedInput(std::unique_ptr<PlainSource> file)
      : file_(std::move(file)), buffer_(kChunk) {}

  // Makes bytes available if none are left; false at the end of the file.
  bool refill() {
    if (begin_ < end_) return true;
    offset_ += end_;
    begin_ = 0;
    end_ = file_->read(buffer_.data(), buffer_.size());
    return end_ > 0;
  }
  const char* data() const { return buffer_.data() + begin_; }
  std::size_t size() const { return end_ - begin_; }
  void consume(std::size_t count) { begin_ += count; }

  [[noreturn]] void truncated(const char* format) const {
    fail("read", "{}: {} stream ends early at byte {}; copy or create the file again",
         file_->name(), format, offset_ + begin_);
  }
  [[noreturn]] void damaged(const char* format, const char* reason) const {
    fail("read", "{}: {} stream is damaged near byte {}: {}; copy or create the file again",
         file_->name(), format, offset_ + begin_, reason);
  }

 private:
  std::unique_ptr<PlainSource> file_;
  std::vector<char> buffer_;
  std::size_t offset_ = 0;  // of buffer_ in the file
  std::size_t begin_ = 0, end_ = 0;
};

// Gzip, also of several members (as pigz, bgzip and `cat a.gz b.gz` write them).
class GzipSource : public ByteSource {
 public:
  explicit GzipSource(std::unique_ptr<PlainSource> file) : input_(std::move(file)) {
    if (inflateInit2(&stream_, kGzipWindow) != Z_OK) throw std::bad_alloc();
  }
  ~GzipSource() override { inflateEnd(&stream_); }
  GzipSource(const GzipSource&) = delete;
  GzipSource& operator=(const GzipSource&) = delete;

  std::size_t read(char* buffer, std::size_t size) override {
    const auto capacity = static_cast<uInt>(std::min<std::size_t>(size, 1u << 30));
    stream_.next_out = reinterpret_cast<Bytef*>(buffer);
    stream_.avail_out = capacity;
    while (stream_.avail_out == capacity) {
      if (!input_.refill()) {
        if (inside_member_) input_.truncated("gzip");
        return 0;
      }
      inflate_some();
    }
    return capacity - stream_.avail_out;
  }

 private:
  static constexpr int kGzipWindow = 15 + 16;

  void inflate_some() {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input_.data()));
    stream_.avail_in = static_cast<uInt>(input_.size());
    inside_member_ = true;
    const int status = inflate(&stream_, Z_NO_FLUSH);
    input_.consume(input_.size() - stream_.avail_in);
    if (status == Z_STREAM_END) {
      inside_member_ = false;
      inflateReset(&stream_);
    } else if (status != Z_OK && status != Z_BUF_ERROR) {
      input_.damaged("gzip", stream_.msg ? stream_.msg : zError(status));
    }
  }

  CompressedInput input_;
  z_stream stream_ = {};
  bool inside_member_ = false;
};

// Zstandard, also of several frames.
class ZstdSource : public ByteSource {
 public:
  explicit ZstdSource(std::unique_ptr<PlainSource> file)
      : input_(std::move(file)), context_(ZSTD_createDCtx()) {
    if (context_ == nullptr) throw std::bad_alloc();
  }
  ~ZstdSource() override { ZSTD_freeDCtx(context_); }
  ZstdSource(const ZstdSource&) = delete;
  ZstdSource& operator=(const ZstdSource&) = delete;

  std::size_t read(char* buffer, std::size_t size) override {
    ZSTD_outBuffer out = {buffer, size, 0};
    while (out.pos == 0) {
      const bool more = input_.refill();
      if (!more && !unfinished_) return 0;
      ZSTD_inBuffer in = {input_.data(), input_.size(), 0};
      const std::size_t hint = ZSTD_decompressStream(context_, &out, &in);
      input_.consume(in.pos);
      if (ZSTD_isError(hint)) input_.damaged("zstd", ZSTD_getErrorName(hint));
      unfinished_ = hint != 0;
      if (!more && out.pos == 0 && unfinished_) input_.truncated("zstd");
    }
    return out.pos;
  }

 private:
  CompressedInput input_;
  ZSTD_DCtx* context_;
  bool unfinished_ = false;  // within a frame, or with output still to flush
};

}  // namespace

std::unique_ptr<ByteSource> open_byte_source(const std::string& path) {
  auto file = std::make_unique<PlainSource>(path);
  const std::string_view head = file->peek(4);
  if (head.starts_with("\x1f\x8b")) return std::make_unique<GzipSource>(std::move(file));
  if (head == "\x28\xb5\x2f\xfd") return std::make_unique<ZstdSource>(std::move(file));
  return file;
}

}  // namespace reflect
