#include "reflect/model/base_storage.h"

#include <algorithm>
#include <chrono>

#include "quantized_weights.h"
#include "reflect/base/config.h"
#include "reflect/base/error.h"
#include "reflect/base/log.h"
#include "reflect/dist/gpu.h"
#include "sharded_weights.h"

namespace reflect {

namespace {

double mib(std::int64_t bytes) {
  return static_cast<double>(bytes) / (1 << 20);
}

// The ranks that hold a copy of the base together.
ProcessGroup sharers(const Placement& placement) {
  const std::string& name = placement.config.placement;
  if (name == "shard") return placement.group;
  if (name != "hybrid") return {};
  std::int64_t size = placement.config.hybrid.group;
  if (size == 0) size = placement.group.ranks_of_machine();
  if (size < 1 || size > placement.group.size() || placement.group.size() % size != 0)
    fail_usage("model", "--hybrid.group {} must divide the {} processes{}", size,
               placement.group.size(),
               size == 0 ? "; machines have different numbers of them, so it must be given" : "");
  return placement.group.split(static_cast<int>(size));
}

std::shared_ptr<ShardedWeights> load_in_units(const ShardedBase& base, const LlamaConfig& config,
                                              const Runtime& runtime, ProcessGroup all) {
  using std::chrono::milliseconds;
  const auto start = std::chrono::steady_clock::now();
  auto weights = std::make_shared<ShardedWeights>(base, config, runtime);
  const auto taken =
      std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - start);
  const double seconds =
      1e-3 * static_cast<double>(all.max(std::max<std::int64_t>(1, taken.count())));
  if (all.rank() != 0) return weights;
  const double share = mib(weights->share_bytes()), buffers = mib(weights->buffer_bytes());
  if (base.offload && share == 0) {
    log_info("base stays in its files; {:.1f} MiB of buffers", buffers);
    return weights;
  }
  const std::string where =
      base.offload
          ? "base in host memory"
          : fmt::format("base in shares over {} processes{}", base.group.size(),
                        base.group.size() == all.size() ? "" : fmt::format(" of {}", all.size()));
  log_info("{}: {:.1f} MiB each and {:.1f} of buffers, loaded at {:.2f} GB/s together", where,
           share, buffers,
           1e-9 * static_cast<double>(weights->read_bytes()) / seconds *
               static_cast<double>(base.offload ? 1 : all.size()));
  return weights;
}

}  // namespace

bool Placement::shared() const {
  return group.size() > 1 && config.in_shares();
}

Placement open_placement(const PlacementConfig& config, const LaunchConfig& launch,
                         const RuntimeConfig& runtime) {
  Placement placement;
  placement.config = config;
  placement.own_passes = true;
  const LaunchEnvironment place = launch_environment();
  if (place.world_size == 1) return placement;
  placement.device = runtime.device == "cuda" ? use_gpu(place.local_rank) : at::Device(at::kCPU);
  placement.group = ProcessGroup(
      place, {.timeout = std::chrono::seconds(launch.timeout), .device = *placement.device});
  PlacementConfig copy = config;
  placement.group.require_same(texts_of(fields_of(copy)));
  return placement;
}

std::shared_ptr<WeightSource> load_weights(const std::string& folder, const LlamaConfig& config,
                                           const Runtime& runtime, const BaseConfig& base,
                                           const Placement& placement) {
  if (!base.cache.empty() && !codec_of(base.storage))
    fail_usage("model", "--base.cache {} keeps codes; add --base.storage fp8 or nf4", base.cache);
  if (placement.config.placement != "replicate") {
    const bool offload = placement.config.placement == "offload";
    return load_in_units({folder, base, sharers(placement), offload, placement.own_passes}, config,
                         runtime, placement.group);
  }
  if (const auto codec = codec_of(base.storage))
    return std::make_shared<QuantizedWeights>(folder, config, runtime, *codec, base.cache);
  return std::make_shared<ResidentWeights>(folder, config, runtime);
}

}  // namespace reflect
