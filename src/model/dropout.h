// Dropout whose mask is a pure function of a key.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "reflect/model/weights.h"

namespace reflect {

// x [T, n] with elements zeroed with probability p and the rest scaled by 1 / (1 - p). Where x is a
// slice of the columns of a whole, so is its mask.
at::Tensor dropped_out(const at::Tensor& x, double p, std::uint64_t key, const Slice& columns = {});

// The same with a mask for each row, a function of the key and of the row's number, which is
// `first` for the first: whatever rows come together, each has its mask.
at::Tensor dropped_out_by_row(const at::Tensor& x, double p, std::uint64_t key, std::int64_t first);

}  // namespace reflect
