// Settings that every tool shares.
#pragma once

#include <cstdint>
#include <string>

namespace reflect {

struct RuntimeConfig {
  std::int64_t seed = 0;
  std::string device = "cpu";
  std::string dtype = "auto";
  std::int64_t threads = 0;
  std::string log_level = "info";
  bool quiet = false;

  void visit(auto& v) {
    v("seed", seed, "Seed of everything random in this run.");
    v("device", device, "Where tensors live.", {"cpu", "cuda"});
    v("dtype", dtype, "Compute type; auto: bf16 where the processor has it, else fp32.",
      {"auto", "fp32", "bf16"});
    v("threads", threads, "CPU threads; 0: all cores.");
    v("log-level", log_level, "What is logged.", {"debug", "info", "warning", "error"});
    v("quiet", quiet, "No progress line.");
  }
};

}  // namespace reflect
