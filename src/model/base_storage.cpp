#include "reflect/model/base_storage.h"

#include <algorithm>
#include <chrono>

#include "quantized_weights.h"
#include "reflect/base/config.h"
#include "reflect/base/error.h"
#include "reflect/base/log.h"
#include "reflect/dist/gpu.h"
#include "reflect/model/tensor_parallel.h"
#include "sharded_weights.h"

namespace reflect {

namespace {

double mib(std::int64_t bytes) {
  return static_cast<double>(bytes) / (1 << 20);
}

using Clock = std::chrono::steady_clock;

// Seconds of the slowest rank. A collective.
double longest_since(Clock::time_point start, ProcessGroup group) {
  const auto taken = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start);
  return 1e-3 * static_cast<double>(group.max(std::max<std::int64_t>(1, taken.count())));
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

std::int64_t bytes_of(ResidentWeights& weights) {
  std::int64_t bytes = 0;
  for (const NamedTensor& named : weights.named())
    bytes += static_cast<std::int64_t>(named.tensor.nbytes());
  return bytes;
}

// The whole base, by this process on its own: not a collective.
std::shared_ptr<WeightSource> load_whole(const std::string& folder, const LlamaConfig& config,
                                         const Runtime& runtime, const BaseConfig& base,
                                         const ProcessGroup& all) {
  const auto start = Clock::now();
  std::shared_ptr<WeightSource> weights;
  std::int64_t held = 0;
  if (const auto codec = codec_of(base.storage)) {
    auto coded = std::make_shared<QuantizedWeights>(folder, config, runtime, *codec, base.cache);
    held = coded->bytes();
    weights = std::move(coded);
  } else {
    auto plain = std::make_shared<ResidentWeights>(folder, config, runtime);
    held = bytes_of(*plain);
    weights = std::move(plain);
  }
  const std::chrono::duration<double> taken = Clock::now() - start;
  if (all.rank() == 0)
    log_info("whole base{}: {:.1f} MiB, loaded at {:.2f} GB/s",
             all.size() == 1 ? "" : " in each process", mib(held),
             1e-9 * static_cast<double>(held) / taken.count());
  return weights;
}

std::shared_ptr<WeightSource> load_slices(const std::string& folder, const LlamaConfig& config,
                                          const Runtime& runtime, const BaseConfig& base,
                                          const Placement& placement) {
  const std::int64_t ranks = placement.tensor_parallel;
  if (placement.config.placement != "replicate")
    fail_usage("model", "--tensor_parallel {} needs --placement replicate; drop it to use {}",
               ranks, placement.config.placement);
  require_slices(config, base.storage, ranks, placement.group.ranks_of_machine());
  const ProcessGroup group = placement.group.split(static_cast<int>(ranks));
  const auto start = Clock::now();
  std::shared_ptr<WeightSource> weights;
  std::int64_t held = 0;
  if (const auto codec = codec_of(base.storage)) {
    auto coded =
        std::make_shared<QuantizedWeights>(folder, config, runtime, *codec, base.cache, group);
    held = coded->bytes();
    weights = coded;
  } else {
    auto plain = std::make_shared<ResidentWeights>(folder, config, runtime, group);
    held = bytes_of(*plain);
    weights = plain;
  }
  const double seconds = longest_since(start, placement.group);
  if (placement.group.rank() == 0)
    log_info("each projection is cut over {} processes: {:.1f} MiB each, loaded at {:.2f} GB/s",
             ranks, mib(held), 1e-9 * static_cast<double>(held) / seconds);
  return weights;
}

std::shared_ptr<ShardedWeights> load_in_units(const ShardedBase& base, const LlamaConfig& config,
                                              const Runtime& runtime, ProcessGroup all) {
  const auto start = Clock::now();
  auto weights = std::make_shared<ShardedWeights>(base, config, runtime);
  const double seconds = longest_since(start, all);
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
  if (placement.tensor_parallel != 1) return load_slices(folder, config, runtime, base, placement);
  if (placement.config.placement != "replicate") {
    const bool offload = placement.config.placement == "offload";
    return load_in_units({folder, base, sharers(placement), offload, placement.own_passes}, config,
                         runtime, placement.group);
  }
  return load_whole(folder, config, runtime, base, placement.group);
}

}  // namespace reflect
