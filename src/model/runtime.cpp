#include "reflect/model/runtime.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <vector>

#include "reflect/base/error.h"

// jemalloc's, in a program that links it.
extern "C" __attribute__((weak)) int mallctl(const char* name, void* old_value, size_t* old_size,
                                             void* value, size_t size);

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
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, -1);  // never
}

// Whether address space costs nothing as long as it is not used.
bool address_space_is_free() {
  for (const int kind : {RLIMIT_AS, RLIMIT_DATA}) {
    rlimit limit{};
    if (getrlimit(kind, &limit) != 0 || limit.rlim_cur != RLIM_INFINITY) return false;
  }
  constexpr char kNeverOvercommit = '2';
  return std::ifstream("/proc/sys/vm/overcommit_memory").peek() != kNeverOvercommit;
}

// Grows the heap by half of the machine's memory, in address space only, and asks for huge pages
// there: decoding reads all weights for each token, and with 4 KiB pages it spends a quarter of its
// time on translating addresses.
void keep_heap_in_huge_pages() {
  constexpr std::uintptr_t kHugePage = 1 << 21;
  constexpr std::int64_t kBlock = (1 << 30) - 4096;  // what malloc still takes from the heap
  if (!address_space_is_free()) return;
  const auto begin = (reinterpret_cast<std::uintptr_t>(sbrk(0)) + kHugePage - 1) / kHugePage;
  const std::int64_t memory = sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
  std::vector<void*> blocks;
  for (std::int64_t size = kBlock; size < memory / 2; size += kBlock)
    blocks.push_back(malloc(kBlock));
  for (void* block : blocks) free(block);
  const auto end = reinterpret_cast<std::uintptr_t>(sbrk(0)) / kHugePage;
  if (end > begin)
    madvise(reinterpret_cast<void*>(begin * kHugePage), (end - begin) * kHugePage, MADV_HUGEPAGE);
}

// Of glibc; jemalloc, which reflect-train links, does well as it comes.
void set_up_heap() {
  if (mallctl != nullptr) return;
  keep_freed_memory();
  keep_heap_in_huge_pages();
}

// oneDNN builds code for every shape of a product, a quarter of a MiB to half a one, and keeps the
// last 1024; libtorch keeps as many descriptions of the same size. A pass has some ten shapes, but
// packs of unlike lengths bring ever new ones.
void keep_few_products() {
  for (const char* capacity : {"ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"})
    setenv(capacity, "64", /*overwrite=*/0);
}

}  // namespace

Runtime start_runtime(const RuntimeConfig& config) {
  set_up_heap();
  keep_few_products();
  if (config.threads > 0) at::set_num_threads(static_cast<int>(config.threads));
  const at::Device device(config.device == "cuda" ? at::kCUDA : at::kCPU);
  if (device.is_cuda() && !at::globalContext().hasCUDA())
    fail_usage("runtime", "--device cuda, but this program sees no CUDA device; use --device cpu");
  return {resolve_dtype(config.dtype, device), device};
}

void keep_memory_of_steps() {
  if (mallctl == nullptr) return;
  unsigned arenas = 0;
  std::size_t size = sizeof arenas;
  mallctl("arenas.narenas", &arenas, &size, nullptr, 0);
  ssize_t never = -1;
  mallctl("arenas.dirty_decay_ms", nullptr, nullptr, &never, sizeof never);  // of later arenas
  for (unsigned arena = 0; arena < arenas; ++arena)
    mallctl(fmt::format("arena.{}.dirty_decay_ms", arena).c_str(), nullptr, nullptr, &never,
            sizeof never);
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
