#include "byte_sink.h"

#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cerrno>
#include <new>
#include <system_error>

#include "reflect/base/error.h"

namespace reflect {
namespace {

constexpr std::size_t kBuffer = 1 << 18;

class PlainSink : public ByteSink {
 public:
  PlainSink(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  void write(std::string_view bytes) override {
    if (pending_.size() + bytes.size() > kBuffer) finish();
    if (bytes.size() > kBuffer) {
      write_now(bytes);
    } else {
      pending_.append(bytes);
    }
  }

  void finish() override {
    write_now(pending_);
    pending_.clear();
  }

  const std::string& path() const { return path_; }

 private:
  void write_now(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::write(fd_, bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) {
        fail("write", "{}: {}; the file was not replaced", path_,
             std::generic_category().message(errno));
      }
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
  }

  int fd_;
  std::string path_;
  std::string pending_;
};

class GzipSink : public ByteSink {
 public:
  explicit GzipSink(std::unique_ptr<PlainSink> file) : file_(std::move(file)), buffer_(kBuffer, 0) {
    if (deflateInit2(&stream_, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) !=
        Z_OK) {
      throw std::bad_alloc();
    }
  }
  ~GzipSink() override { deflateEnd(&stream_); }
  GzipSink(const GzipSink&) = delete;
  GzipSink& operator=(const GzipSink&) = delete;

  void write(std::string_view bytes) override {
    while (bytes.size() > kBuffer) {
      deflate_all(bytes.substr(0, kBuffer), Z_NO_FLUSH);
      bytes.remove_prefix(kBuffer);
    }
    deflate_all(bytes, Z_NO_FLUSH);
  }

  void finish() override {
    deflate_all({}, Z_FINISH);
    file_->finish();
  }

 private:
  void deflate_all(std::string_view bytes, int flush) {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream_.avail_in = static_cast<uInt>(bytes.size());
    do {
      stream_.next_out = reinterpret_cast<Bytef*>(buffer_.data());
      stream_.avail_out = static_cast<uInt>(buffer_.size());
      deflate(&stream_, flush);
      file_->write({buffer_.data(), buffer_.size() - stream_.avail_out});
    } while (stream_.avail_out == 0);
  }

  std::unique_ptr<PlainSink> file_;
  std::string buffer_;
  z_stream stream_ = {};
};

class ZstdSink : public ByteSink {
 public:
  explicit ZstdSink(std::unique_ptr<PlainSink> file)
      : file_(std::move(file)), buffer_(kBuffer, 0), context_(ZSTD_createCCtx()) {
    if (context_ == nullptr) throw std::bad_alloc();
    ZSTD_CCtx_setParameter(context_, ZSTD_c_checksumFlag, 1);
  }
  ~ZstdSink() override { ZSTD_freeCCtx(context_); }
  ZstdSink(const ZstdSink&) = delete;
  ZstdSink& operator=(const ZstdSink&) = delete;

  void write(std::string_view bytes) override { compress(bytes, ZSTD_e_continue); }

  void finish() override {
    compress({}, ZSTD_e_end);
    file_->finish();
  }

 private:
  void compress(std::string_view bytes, ZSTD_EndDirective directive) {
    ZSTD_inBuffer in = {bytes.data(), bytes.size(), 0};
    std::size_t remaining;
    do {
      ZSTD_outBuffer out = {buffer_.data(), buffer_.size(), 0};
      remaining = ZSTD_compressStream2(context_, &out, &in, directive);
      if (ZSTD_isError(remaining)) {
        fail("write", "{}: zstd: {}", file_->path(), ZSTD_getErrorName(remaining));
      }
      file_->write({buffer_.data(), out.pos});
    } while (directive == ZSTD_e_end ? remaining != 0 : in.pos < in.size);
  }

  std::unique_ptr<PlainSink> file_;
  std::string buffer_;
  ZSTD_CCtx* context_;
};

}  // namespace

std::unique_ptr<ByteSink> make_byte_sink(int fd, const std::string& path, Compression compression) {
  auto file = std::make_unique<PlainSink>(fd, path);
  switch (compression) {
    case Compression::kGzip:
      return std::make_unique<GzipSink>(std::move(file));
    case Compression::kZstd:
      return std::make_unique<ZstdSink>(std::move(file));
    case Compression::kNone:
      break;
  }
  return file;
}

}  // namespace reflect
