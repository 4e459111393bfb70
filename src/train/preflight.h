// What is tried out before a run starts: that packing leaves the loss as it is.
#pragma once

#include "reflect/train/pack_inputs.h"
#include "reflect/train/tuned_model.h"

namespace reflect {

// Compares the loss of `batch` with that of its rows one by one. Throws Error with both numbers
// when they differ by more than rounding in the model's dtype (relative: 1e-4 in fp32, 2e-2 in
// bf16).
void check_packing(TunedModel& model, const TokenizedCorpus& examples, const Batch& batch);

}  // namespace reflect
