#include "reflect/model/runtime.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <malloc.h>

#include "reflect/base/error.h"

namespace reflect {

namespace {

at::ScalarType resolve_dtype(const std::string& name, const at::Device& device) {
  if (name == "fp32") return at::kFloat;
  if (name == "bf16") return at::kBFloat16;
  const bool native = device.is_cuda() || __builtin_cpu_supports("avx512bf16");
  return native ? at::kBFloat16 : at::kFloat;
}

// glibc gives big blocks back to the system at every free and maps them anew; the big temporaries
// of a forward pass then cost page faults at each use (measured: a third of the time).
void keep_freed_memory() {
  constexpr int kOneGiB = 1 << 30;
  mallopt(M_MMAP_THRESHOLD, kOneGiB);
  mallopt(M_TRIM_THRESHOLD, kOneGiB);
}

}  // namespace

Runtime start_runtime(const RuntimeConfig& config) {
  keep_freed_memory();
  if (config.threads > 0) at::set_num_threads(static_cast<int>(config.threads));
  const at::Device device(config.device == "cuda" ? at::kCUDA : at::kCPU);
  if (device.is_cuda() && !at::globalContext().hasCUDA())
    fail_usage("runtime", "--device cuda, but this program sees no CUDA device; use --device cpu");
  return {resolve_dtype(config.dtype, device), device};
}

std::string_view name_of_dtype(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return "fp32";
    case at::kBFloat16:
      return "bf16";
    case at::kHalf:
      return "fp16";
    default:
      fail("runtime", "no name for dtype {}", c10::toString(dtype));
  }
}

}  // namespace reflect
