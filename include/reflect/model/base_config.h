// How a frozen base model is held in memory.
#pragma once

#include <cstdint>
#include <string>

namespace reflect {

struct BaseConfig {
  std::string storage = "dtype";
  std::string cache = "";
  void visit(auto& v) {
    v("storage", storage,
      "How the decoder's projections are held: in --dtype, or in 8 (fp8) or 4 bits (nf4) a weight "
      "and made anew for each block that is computed.",
      {"dtype", "fp8", "nf4"});
    v("cache", cache,
      "Folder that keeps the codes of base.storage fp8 or nf4, made once and read by later runs; "
      "empty: they are made at every start.");
  }
};

struct HybridConfig {
  std::int64_t group = 0;
  void visit(auto& v) {
    v("group", group,
      "Of --placement hybrid: processes (consecutive ranks) that hold one copy of the base "
      "together; 0: those of one machine.");
  }
};

// Where a frozen base lies.
struct PlacementConfig {
  std::string placement = "replicate";
  HybridConfig hybrid = {};
  bool in_shares() const { return placement == "shard" || placement == "hybrid"; }
  void visit(auto& v) {
    v("placement", placement,
      "Where a frozen base lies: all of it in every process; a share of every block in each, "
      "gathered when the block is computed (shard), or that inside groups of processes (hybrid); "
      "or in the checkpoint's files or host memory, read when it is computed (offload).",
      {"replicate", "shard", "hybrid", "offload"});
    v("hybrid", hybrid, "");
  }
};

}  // namespace reflect
