#include "gathered_units.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>

namespace reflect {

GatheredUnits::GatheredUnits(Options options) : options_(std::move(options)) {
  const auto units = static_cast<std::int64_t>(options_.sizes.size());
  std::int64_t total = 0, largest = 0;
  for (std::int64_t unit = 0; unit < units; ++unit) {
    total += share_size(unit);
    largest = std::max(largest, share_size(unit) * options_.group.size());
  }
  const auto bytes = at::TensorOptions().dtype(at::kByte);
  if (options_.home != UnitHome::kFile) {
    const bool on_host = options_.home == UnitHome::kHost;
    const at::Tensor all = on_host ? at::empty({total}, bytes.pinned_memory(true))
                                   : at::empty({total}, bytes.device(options_.device));
    all.zero_();  // the room behind what units hold is sent, too
    std::int64_t begin = 0;
    for (std::int64_t unit = 0; unit < units; ++unit) {
      shares_.push_back(all.narrow(0, begin, share_size(unit)));
      begin += share_size(unit);
    }
  }
  if (lies_whole()) largest = 0;
  for (Buffer& buffer : buffers_)
    buffer.bytes = at::empty({largest}, bytes.device(options_.device));
}

// What was asked for ahead still writes into its buffer. That it fails has no meaning any more.
GatheredUnits::~GatheredUnits() {
  for (Buffer& buffer : buffers_) {
    try {
      wait(buffer);
    } catch (const std::exception&) {
      continue;
    }
  }
}

std::int64_t GatheredUnits::size_of(std::int64_t unit) const {
  return options_.sizes[static_cast<std::size_t>(unit)];
}

std::int64_t GatheredUnits::share_size(std::int64_t unit) const {
  const std::int64_t step = kCut * options_.group.size();
  return (size_of(unit) + step - 1) / step * kCut;
}

GatheredUnits::Share GatheredUnits::share(std::int64_t unit) const {
  const std::int64_t size = size_of(unit), step = share_size(unit);
  const std::int64_t begin = std::min(size, options_.group.rank() * step);
  const std::int64_t end = std::min(size, begin + step);
  return {begin, end, shares_[static_cast<std::size_t>(unit)].narrow(0, 0, end - begin)};
}

void GatheredUnits::begin(Buffer& buffer, std::int64_t unit) {
  wait(buffer);  // for what was asked for ahead in vain
  buffer.unit = -1;
  switch (options_.home) {
    case UnitHome::kDevice:
      buffer.arriving = options_.group.all_gather(
          buffer.bytes.narrow(0, 0, share_size(unit) * options_.group.size()),
          shares_[static_cast<std::size_t>(unit)]);
      break;
    case UnitHome::kHost:
      copy_from_host(buffer, unit);
      break;
    case UnitHome::kFile:
      options_.read(unit, {0, size_of(unit), buffer.bytes.narrow(0, 0, size_of(unit))});
      break;
  }
  buffer.unit = unit;
}

// On a stream of its own, behind the work that still reads what the buffer held.
void GatheredUnits::copy_from_host(Buffer& buffer, std::int64_t unit) {
  const at::Tensor& from = shares_[static_cast<std::size_t>(unit)];
  const c10::impl::VirtualGuardImpl device(options_.device.type());
  if (!copies_) copies_ = device.getStreamFromGlobalPool(options_.device);
  c10::Event used(options_.device.type());
  used.record(device.getStream(options_.device));
  used.block(*copies_);
  const c10::StreamGuard guard(*copies_);
  buffer.bytes.narrow(0, 0, from.numel()).copy_(from, /*non_blocking=*/true);
  buffer.copied.emplace(options_.device.type());
  buffer.copied->record(*copies_);
}

void GatheredUnits::wait(Buffer& buffer) {
  buffer.arriving.wait();
  if (!buffer.copied) return;
  const c10::impl::VirtualGuardImpl device(options_.device.type());
  buffer.copied->block(device.getStream(options_.device));
  buffer.copied.reset();
}

at::Tensor GatheredUnits::gather(std::int64_t unit, std::optional<std::int64_t> next) {
  if (lies_whole()) return shares_[static_cast<std::size_t>(unit)].narrow(0, 0, size_of(unit));
  if (buffers_[last_].unit != unit) last_ = 1 - last_;
  Buffer& buffer = buffers_[last_];
  if (buffer.unit != unit) begin(buffer, unit);
  wait(buffer);
  Buffer& other = buffers_[1 - last_];
  if (next && other.unit != *next && buffer.unit != *next) {
    if (options_.home == UnitHome::kFile)
      options_.expect(*next);
    else
      begin(other, *next);
  }
  return buffer.bytes.narrow(0, 0, size_of(unit));
}

std::int64_t GatheredUnits::share_bytes() const {
  std::int64_t total = 0;
  for (const at::Tensor& share : shares_) total += share.numel();
  return total;
}

std::int64_t GatheredUnits::buffer_bytes() const {
  return buffers_[0].bytes.numel() + buffers_[1].bytes.numel();
}

}  // namespace reflect
