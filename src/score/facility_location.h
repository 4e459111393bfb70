// A subset that represents all rows: greedy facility location over embeddings.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace reflect {

// Rows with their mean taken away and divided by their length (a zero row stays zero): directions
// that differ, where mean hidden states all point much the same way. [N, d] float.
at::Tensor centred_directions(const at::Tensor& embeddings);

// Chooses `count` of the rows S that maximise sum_i max_{j in S} max(0, x_i . x_j), one by one by
// the largest gain (1 - 1/e of the optimum: Nemhauser, Wolsey, Fisher 1978), evaluated lazily
// (Minoux 1978). With more than kMostClients rows the sum runs over that many of them, drawn by the
// seed. Ties go to the earlier row. directions: [N, d] float; returns row numbers, sorted.
inline constexpr std::int64_t kMostClients = 16384;
std::vector<std::size_t> facility_location(const at::Tensor& directions, std::size_t count,
                                           std::uint64_t seed);

}  // namespace reflect
