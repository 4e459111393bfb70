// Angles of rotary position embeddings, with the scalings that Llama checkpoints use.
#pragma once

#include <ATen/core/Tensor.h>

#include "elementwise.h"
#include "reflect/model/llama.h"

namespace reflect {

// Radians a position for each of the head_dim / 2 pairs, fp32. llama3 scaling keeps high
// frequencies, divides low ones by `factor` and blends between (as in Meta's reference code).
at::Tensor inverse_frequency(const LlamaConfig& config, const at::Device& device);

// Rotations of all tokens of the packed rows, which start at their first positions.
Rotation rotation_of(const PackedRows& rows, const at::Tensor& inverse_frequency);

}  // namespace reflect
