// Content hashes (XXH3-128) as hexadecimal text, for ids and lineage; not for security.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace reflect {

std::string content_hash(std::string_view bytes);      // 32 hexadecimal digits
std::uint64_t content_hash64(std::string_view bytes);  // the low 64 bits of another XXH3 hash

}  // namespace reflect
