// Dropout whose mask is a pure function of a key.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace reflect {

// x with elements zeroed with probability p and the rest scaled by 1 / (1 - p).
at::Tensor dropped_out(const at::Tensor& x, double p, std::uint64_t key);

}  // namespace reflect
