// reflect-merge's job: base + adapter as a plain checkpoint, verified after writing.
#pragma once

#include <string>

#include "reflect/base/error.h"
#include "reflect/base/runtime.h"

namespace reflect {

struct MergeConfig {
  std::string model;
  std::string adapter;
  std::string output;
  std::int64_t max_shard_bytes = std::int64_t{5} << 30;
  RuntimeConfig runtime;

  void visit(auto& v) {
    v("model", model, "Folder of the base checkpoint.");
    v("adapter", adapter, "Folder of the PEFT adapter.");
    v("output", output, "Folder to write; must not exist or be empty.");
    v("max-shard-bytes", max_shard_bytes, "Largest size of one safetensors file.");
    runtime.visit(v);
  }
};

// Writes W + scale B A for every adapted projection (computed in fp32, stored in the base's dtype)
// and every other tensor as it is, one tensor in memory at a time. Then reads the result back and
// compares it with the sum recomputed, and the logits of both models on a fixed text: a difference
// beyond the storage dtype's rounding is an Error and the folder is removed.
ExitCode merge(const MergeConfig& config);

}  // namespace reflect
