#include "attention_blocks.h"

namespace reflect::blocks {

BlockPlan::BlockPlan(const PackedRows& rows, std::int64_t size) {
  const std::vector<std::int64_t> first = rows.first_positions();
  for (std::int64_t r = 0; r < rows.rows(); ++r) {
    const std::int64_t parent = rows.parent.empty() ? -1 : rows.parent[r];
    chain.push_back(parent < 0 ? std::vector<std::int64_t>() : chain[parent]);
    const std::int64_t begin = rows.offsets[r], n = rows.length(r);
    for (std::int64_t i = 0; i < n; i += kKeys) {
      chain.back().push_back(static_cast<std::int64_t>(keys.size()));
      keys.push_back({begin + i, first[r] + i, std::min(kKeys, n - i)});
    }
    for (std::int64_t i = 0; i < n; i += size)
      queries.push_back({r, begin + i, first[r] + i, std::min(size, n - i)});
  }
}

}  // namespace reflect::blocks
