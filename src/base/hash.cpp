#include "reflect/base/hash.h"

#include <xxhash.h>

#include "reflect/base/digest.h"

namespace reflect {

std::string content_hash(std::string_view bytes) {
  return digest_of(bytes).hex();
}

std::uint64_t content_hash64(std::string_view bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

}  // namespace reflect
