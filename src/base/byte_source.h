// A file's bytes in order, decompressed on the way where its first bytes say gzip or zstd.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

namespace reflect {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Fills up to `size` bytes and returns how many; 0 only at the end. Throws Error with the path
  // and, for a damaged compressed stream, the compressed byte at which reading failed.
  virtual std::size_t read(char* buffer, std::size_t size) = 0;
};

// `path` "-" is standard input.
std::unique_ptr<ByteSource> open_byte_source(const std::string& path);

}  // namespace reflect
