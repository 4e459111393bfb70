// Bytes on their way into an open file descriptor, compressed where wanted.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace reflect {

enum class Compression { kNone, kGzip, kZstd };

class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual void write(std::string_view bytes) = 0;
  // Hands everything written to the system; call once, at the end.
  virtual void finish() = 0;
};

// Writes to `fd`, which stays the caller's; `path` is for errors.
std::unique_ptr<ByteSink> make_byte_sink(int fd, const std::string& path, Compression compression);

}  // namespace reflect
