// Models that only run forward passes of many tokens, as scoring does.
#pragma once

#include <memory>
#include <string>

#include "reflect/model/llama.h"

namespace reflect {

// load_llama for a model without gradients and decoding, before any other product: it bounds what
// oneDNN keeps. Where a CPU holds the base in --dtype, matrices are packed as oneDNN's product
// reads them: with placement replicate once, not anew in every product (3 % of its time in fp32, 8
// % in bf16), under other placements in every pass, for the same bits.
std::unique_ptr<Llama> load_forward_llama(const std::string& folder, const Runtime& runtime,
                                          const BaseConfig& base = {},
                                          const Placement& placement = {});

}  // namespace reflect
