// Byte strings that the ranks of a group hold in shares and gather whole, the next one while the
// last is in use.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "reflect/dist/process_group.h"

namespace reflect {

class GatheredUnits {
 public:
  // Every rank gets an equal share of every unit, cut at multiples of this many bytes.
  static constexpr std::int64_t kCut = 64;

  // `sizes` of the units in bytes. What a rank holds: its share of all, and two buffers for a unit
  // each. In a group of one the share is all, and there are no buffers.
  GatheredUnits(std::vector<std::int64_t> sizes, const at::Device& device, ProcessGroup group);
  ~GatheredUnits();
  GatheredUnits(const GatheredUnits&) = delete;
  GatheredUnits& operator=(const GatheredUnits&) = delete;

  // This rank's share of a unit: its bytes [begin, end), kept in `bytes` (uint8), to be filled
  // once.
  struct Share {
    std::int64_t begin = 0, end = 0;
    at::Tensor bytes;
  };
  Share share(std::int64_t unit) const;

  // The whole unit [size] uint8, valid until another is asked for; `next`, the unit that is likely
  // to be asked for then, is gathered meanwhile. All ranks ask for the same units with the same
  // guesses in the same order. A collective; throws what ProcessGroup throws.
  at::Tensor gather(std::int64_t unit, std::optional<std::int64_t> next);

  std::int64_t share_bytes() const;
  std::int64_t buffer_bytes() const;

 private:
  struct Buffer {
    std::int64_t unit = -1;  // that it holds, or will hold
    at::Tensor bytes;
    Collective arriving;
  };
  std::int64_t share_size(std::int64_t unit) const;  // in bytes, the same on all ranks
  void begin(Buffer& buffer, std::int64_t unit);

  std::vector<std::int64_t> sizes_;
  ProcessGroup group_;
  std::vector<at::Tensor> shares_;  // [share_size(unit)], parts of one tensor
  std::array<Buffer, 2> buffers_;
  std::size_t last_ = 0;  // the buffer that was given out last
};

}  // namespace reflect
