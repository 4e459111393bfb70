// Byte strings (units) of which a rank keeps its share, all or nothing, brought whole into one of
// two buffers, the next one while the last is in use.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "reflect/dist/process_group.h"

namespace reflect {

// Where units stay while no buffer holds them.
enum class UnitHome {
  kDevice,  // in shares, in the memory of the ranks' devices; gathered
  kHost,    // in host memory, pinned: one rank's, which copies them to its device
  kFile,    // nowhere: read anew each time, by one rank
};

class GatheredUnits {
 public:
  // Every rank gets an equal share of every unit, cut at multiples of this many bytes.
  static constexpr std::int64_t kCut = 64;

  // A rank's share of a unit: its bytes [begin, end), in `bytes` (uint8), to be filled.
  struct Share {
    std::int64_t begin = 0, end = 0;
    at::Tensor bytes;
  };

  struct Options {
    std::vector<std::int64_t> sizes;  // of the units in bytes
    at::Device device = at::kCPU;     // of the buffers
    ProcessGroup group = {};          // of one, unless the home is kDevice
    UnitHome home = UnitHome::kDevice;
    // Of kFile: fills a whole unit; tells that a unit is likely to be filled next.
    std::function<void(std::int64_t unit, const Share&)> read = {};
    std::function<void(std::int64_t unit)> expect = {};
  };

  // What a rank holds: its share of all, and two buffers for a unit each. In a group of one with
  // kDevice the share is all, and there are no buffers.
  explicit GatheredUnits(Options options);
  ~GatheredUnits();
  GatheredUnits(const GatheredUnits&) = delete;
  GatheredUnits& operator=(const GatheredUnits&) = delete;

  // This rank's share of a unit, to be filled once. Not of kFile.
  Share share(std::int64_t unit) const;

  // The whole unit [size] uint8, valid until another is asked for; `next`, the unit that is likely
  // to be asked for then, is on its way meanwhile. All ranks ask for the same units with the same
  // guesses in the same order. A collective; throws what ProcessGroup throws.
  at::Tensor gather(std::int64_t unit, std::optional<std::int64_t> next);

  std::int64_t share_bytes() const;
  std::int64_t buffer_bytes() const;

 private:
  struct Buffer {
    std::int64_t unit = -1;  // that it holds, or will hold
    at::Tensor bytes;
    Collective arriving;               // of kDevice
    std::optional<c10::Event> copied;  // of kHost: the copy's end, in the device's order of work
  };
  std::int64_t size_of(std::int64_t unit) const;
  std::int64_t share_size(std::int64_t unit) const;  // in bytes, the same on all ranks
  bool lies_whole() const {
    return options_.home == UnitHome::kDevice && options_.group.size() == 1;
  }
  void begin(Buffer& buffer, std::int64_t unit);
  void copy_from_host(Buffer& buffer, std::int64_t unit);
  void wait(Buffer& buffer);

  Options options_;
  std::optional<c10::Stream> copies_;  // of kHost
  std::vector<at::Tensor> shares_;     // [share_size(unit)], parts of one tensor
  std::array<Buffer, 2> buffers_;
  std::size_t last_ = 0;  // the buffer that was given out last
};

}  // namespace reflect
