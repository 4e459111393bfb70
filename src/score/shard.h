// The part of an input that one of several processes takes, and the names of what it writes.
#pragma once

#include <cstdint>
#include <string>

#include "score/row_stream.h"

namespace reflect {

struct Shard {
  std::int64_t index = 0, count = 1;
  bool whole() const { return count == 1; }
};

// "i/n" with 0 <= i < n; "auto": the whole. Throws Error (usage) for anything else.
Shard shard_named(const std::string& text);

// The shard's lines of an input of `lines`: consecutive, as many in each shard to one.
LineRange lines_of(const Shard& shard, std::size_t lines);

// "scored.jsonl.gz" -> "scored-00002-of-00008.jsonl.gz"; unchanged for the whole.
std::string shard_path(const std::string& path, const Shard& shard);

}  // namespace reflect
