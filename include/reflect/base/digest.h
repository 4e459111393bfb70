// Content hashes (XXH3-128) as numbers, and of bytes that come in pieces; not for security.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace reflect {

struct Digest {
  std::uint64_t high = 0, low = 0;
  std::string hex() const;  // 32 hexadecimal digits, as content_hash gives them
  bool operator==(const Digest&) const = default;
};

// The digest of the bytes added so far, in whatever pieces.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;
  void add(std::string_view bytes);
  Digest digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Digest digest_of(std::string_view bytes);
// Of a file's bytes, read in pieces. Throws Error with the path and the system's reason.
Digest digest_of_file(const std::string& path);

}  // namespace reflect
