// Bytes of CPU tensors: alive now, and the most that were alive at once.
#pragma once

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace reflect {

// PyTorch's allocator with a count. Never destroyed: tensors give their memory back to it.
class CountingAllocator : public c10::Allocator {
 public:
  static CountingAllocator& instance() {
    static auto* allocator = new CountingAllocator;
    return *allocator;
  }

  c10::DataPtr allocate(std::size_t size) override {
    auto* block = static_cast<std::byte*>(inner_->raw_allocate(size + kHeader));
    *reinterpret_cast<std::int64_t*>(block) = static_cast<std::int64_t>(size);
    const std::int64_t now = bytes += static_cast<std::int64_t>(size);
    peak = std::max<std::int64_t>(peak, now);
    return {block + kHeader, block + kHeader, &release, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, std::size_t count) const override {
    default_copy_data(to, from, count);
  }

  std::atomic<std::int64_t> bytes = 0, peak = 0;

 private:
  static constexpr std::size_t kHeader = 64;  // before the tensor's bytes: their number

  static void release(void* data) {
    if (data == nullptr) return;
    std::byte* block = static_cast<std::byte*>(data) - kHeader;
    instance().bytes -= *reinterpret_cast<std::int64_t*>(block);
    instance().inner_->raw_deallocate(block);
  }

  c10::Allocator* inner_ = c10::GetCPUAllocator();
};

// Counts what is allocated from its construction on; one at a time.
class TensorMemory {
 public:
  TensorMemory() {
    c10::SetCPUAllocator(&CountingAllocator::instance(), /*priority=*/100);
    CountingAllocator::instance().peak = start_ = CountingAllocator::instance().bytes;
  }
  std::int64_t bytes() const { return CountingAllocator::instance().bytes - start_; }
  std::int64_t peak() const { return CountingAllocator::instance().peak - start_; }

 private:
  std::int64_t start_ = 0;
};

}  // namespace reflect
