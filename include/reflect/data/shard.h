// One of several runs that share an input out, each a part, and the names of what it writes.
#pragma once

#include <cstdint>
#include <string>

namespace reflect {

struct Shard {
  std::int64_t index = 0, count = 1;
  bool whole() const { return count == 1; }
};

// "i/n" with 0 <= i < n; "auto": the whole. Throws Error (usage) for anything else.
Shard shard_named(const std::string& text);

// "scored.jsonl.gz" -> "scored-00002-of-00008.jsonl.gz"; unchanged for the whole, and "-".
std::string shard_path(const std::string& path, const Shard& shard);

}  // namespace reflect
