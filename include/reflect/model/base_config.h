// How a frozen base model is held in memory.
#pragma once

#include <string>

namespace reflect {

struct BaseConfig {
  std::string storage = "dtype";
  void visit(auto& v) {
    v("storage", storage,
      "How the decoder's projections are held: in --dtype, or in 8 (fp8) or 4 bits (nf4) a weight "
      "and made anew for each block that is computed.",
      {"dtype", "fp8", "nf4"});
  }
};

}  // namespace reflect
