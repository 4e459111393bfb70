#include "gathered_units.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

namespace reflect {

GatheredUnits::GatheredUnits(std::vector<std::int64_t> sizes, const at::Device& device,
                             ProcessGroup group)
    : sizes_(std::move(sizes)), group_(std::move(group)) {
  const auto options = at::TensorOptions().dtype(at::kByte).device(device);
  const auto units = static_cast<std::int64_t>(sizes_.size());
  std::int64_t total = 0, largest = 0;
  for (std::int64_t unit = 0; unit < units; ++unit) {
    total += share_size(unit);
    largest = std::max(largest, share_size(unit) * group_.size());
  }
  const at::Tensor all = at::zeros({total}, options);
  std::int64_t begin = 0;
  for (std::int64_t unit = 0; unit < units; ++unit) {
    shares_.push_back(all.narrow(0, begin, share_size(unit)));
    begin += share_size(unit);
  }
  if (group_.size() == 1) largest = 0;
  for (Buffer& buffer : buffers_) buffer.bytes = at::empty({largest}, options);
}

// What was asked for ahead still writes into its buffer. That it fails has no meaning any more.
GatheredUnits::~GatheredUnits() {
  for (Buffer& buffer : buffers_) {
    try {
      buffer.arriving.wait();
    } catch (const std::exception&) {
      continue;
    }
  }
}

std::int64_t GatheredUnits::share_size(std::int64_t unit) const {
  const std::int64_t step = kCut * group_.size();
  return (sizes_[static_cast<std::size_t>(unit)] + step - 1) / step * kCut;
}

GatheredUnits::Share GatheredUnits::share(std::int64_t unit) const {
  const std::int64_t size = sizes_[static_cast<std::size_t>(unit)], step = share_size(unit);
  const std::int64_t begin = std::min(size, group_.rank() * step);
  const std::int64_t end = std::min(size, begin + step);
  return {begin, end, shares_[static_cast<std::size_t>(unit)].narrow(0, 0, end - begin)};
}

void GatheredUnits::begin(Buffer& buffer, std::int64_t unit) {
  buffer.arriving.wait();  // what was asked for ahead in vain
  buffer.unit = unit;
  buffer.arriving = group_.all_gather(buffer.bytes.narrow(0, 0, share_size(unit) * group_.size()),
                                      shares_[static_cast<std::size_t>(unit)]);
}

at::Tensor GatheredUnits::gather(std::int64_t unit, std::optional<std::int64_t> next) {
  const std::int64_t size = sizes_[static_cast<std::size_t>(unit)];
  if (group_.size() == 1) return shares_[static_cast<std::size_t>(unit)].narrow(0, 0, size);
  if (buffers_[last_].unit != unit) last_ = 1 - last_;
  Buffer& buffer = buffers_[last_];
  if (buffer.unit != unit) begin(buffer, unit);
  buffer.arriving.wait();
  Buffer& other = buffers_[1 - last_];
  if (next && other.unit != *next && buffer.unit != *next) begin(other, *next);
  return buffer.bytes.narrow(0, 0, size);
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
