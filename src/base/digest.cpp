#include "reflect/base/digest.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <cerrno>
#include <cstdio>
#include <system_error>
#include <vector>

#include "reflect/base/error.h"

namespace reflect {
namespace {

constexpr std::size_t kPiece = 1 << 20;  // bytes

Digest digest_from(const XXH128_hash_t& hash) {
  return {hash.high64, hash.low64};
}

}  // namespace

struct Hasher::State {
  XXH3_state_t* hash = XXH3_createState();
  ~State() { XXH3_freeState(hash); }
};

Hasher::Hasher() : state_(std::make_unique<State>()) {
  XXH3_128bits_reset(state_->hash);
}

Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

void Hasher::add(std::string_view bytes) {
  XXH3_128bits_update(state_->hash, bytes.data(), bytes.size());
}

Digest Hasher::digest() const {
  return digest_from(XXH3_128bits_digest(state_->hash));
}

std::string Digest::hex() const {
  return fmt::format("{:016x}{:016x}", high, low);
}

Digest digest_of(std::string_view bytes) {
  return digest_from(XXH3_128bits(bytes.data(), bytes.size()));
}

Digest digest_of_file(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"),
                                                             &std::fclose);
  std::vector<char> piece(kPiece);
  Hasher hasher;
  while (file) {
    const std::size_t count = std::fread(piece.data(), 1, piece.size(), file.get());
    hasher.add({piece.data(), count});
    if (count == piece.size()) continue;
    if (std::ferror(file.get()) != 0) break;
    return hasher.digest();
  }
  fail("read", "{}: {}", path, std::generic_category().message(errno));
}

}  // namespace reflect
