#include "reflect/model/base_storage.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>

#include "quantized_weights.h"
#include "sharded_weights.h"

namespace reflect {

std::shared_ptr<WeightSource> load_weights(const std::string& folder, const LlamaConfig& config,
                                           const Runtime& runtime, const BaseConfig& base) {
  if (const auto codec = codec_of(base.storage))
    return std::make_shared<QuantizedWeights>(folder, config, runtime, *codec);
  return std::make_shared<ResidentWeights>(folder, config, runtime);
}

std::shared_ptr<WeightSource> load_sharded_weights(const ShardedBase& sharded,
                                                   const LlamaConfig& config,
                                                   const Runtime& runtime) {
  using std::chrono::milliseconds;
  const auto start = std::chrono::steady_clock::now();
  auto weights = std::make_shared<ShardedWeights>(sharded, config, runtime);
  const auto taken =
      std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - start);
  ProcessGroup group = sharded.group;
  const double seconds =
      1e-3 * static_cast<double>(group.max(std::max<std::int64_t>(1, taken.count())));
  if (group.rank() == 0) {
    const auto mib = [](std::int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
    const double all = mib(weights->share_bytes()) * group.size();
    spdlog::info(
        "base in shares over {} processes: {:.1f} MiB each and {:.1f} of buffers, loaded "
        "at {:.0f} MiB/s together",
        group.size(), mib(weights->share_bytes()), mib(weights->buffer_bytes()), all / seconds);
  }
  return weights;
}

}  // namespace reflect
