// Texts that begin alike, as a tree of rows in which each common beginning stands once.
#pragma once

#include <cstdint>
#include <vector>

#include "reflect/model/llama.h"

namespace reflect {

using Ids = std::vector<std::int32_t>;

// Shorter common beginnings are computed for each text: a row of its own costs more than it saves.
inline constexpr std::int64_t kSharedTokens = 4;

// The number of ids at which a and b first differ; 0 where that is below kSharedTokens.
std::int64_t shared_tokens(const Ids& a, const Ids& b);

struct PrefixTree {
  PackedRows rows;
  std::vector<std::int64_t> ids;  // [T] of all rows
  // places[i][j]: where token j of text i stands in `ids`.
  std::vector<std::vector<std::int64_t>> places;
};

// `texts` are not empty and in lexicographic order.
PrefixTree prefix_tree(const std::vector<const Ids*>& texts);

// Which texts share a forward pass: batches of indices into `texts`, each in lexicographic order
// of its texts, with at most `budget` tokens, common beginnings counted once; a longer text goes
// alone. Of all cuts of the sorted texts this one computes the fewest tokens. Depends on the texts
// and the budget alone.
std::vector<std::vector<std::size_t>> plan_batches(const std::vector<Ids>& texts,
                                                   std::int64_t budget);

}  // namespace reflect
