#include "reflect/train/batch_plan.h"

#include <algorithm>
#include <numeric>

#include "reflect/base/random.h"

namespace reflect {

std::vector<Batch> packs_of_epoch(const std::vector<std::int64_t>& lengths,
                                  const BatchPlanOptions& options, std::int64_t epoch) {
  const auto key = static_cast<std::uint64_t>(epoch);
  std::vector<std::int64_t> order(lengths.size());
  std::iota(order.begin(), order.end(), 0);
  if (options.shuffle) Random(options.seed, "order of rows", {key}).shuffle(order);
  std::vector<Batch> packs;
  for (std::size_t begin = 0; begin < order.size();) {
    const std::size_t end =
        std::min(order.size(), begin + static_cast<std::size_t>(options.window));
    const std::vector<std::int64_t> window(order.begin() + static_cast<std::ptrdiff_t>(begin),
                                           order.begin() + static_cast<std::ptrdiff_t>(end));
    for (Batch& batch : pack(lengths, window, options.capacity)) packs.push_back(std::move(batch));
    begin = end;
  }
  // Best-fit packing puts long rows into early packs; that order must not reach the training.
  if (options.shuffle) Random(options.seed, "order of packs", {key}).shuffle(packs);
  return packs;
}

void PackStream::enter_epoch(std::int64_t epoch) {
  packs_ = packs_of_epoch(lengths_, options_, epoch);
  loaded_epoch_ = epoch;
}

const Batch& PackStream::next() {
  if (loaded_epoch_ != position_.epoch) enter_epoch(position_.epoch);
  if (position_.pack == static_cast<std::int64_t>(packs_.size())) {
    position_ = {position_.epoch + 1, 0};
    enter_epoch(position_.epoch);
  }
  return packs_[static_cast<std::size_t>(position_.pack++)];
}

RunLength measure_run(const std::vector<std::int64_t>& lengths, const BatchPlanOptions& options,
                      const RunLimits& limits) {
  RunLength length;
  const auto complete = [&](std::int64_t epoch) {
    if (limits.max_steps > 0) return length.packs == limits.max_steps * limits.packs_per_step;
    if (limits.max_tokens > 0)
      return length.tokens >= limits.max_tokens && length.packs % limits.packs_per_step == 0;
    return epoch == limits.epochs;
  };
  for (std::int64_t epoch = 0; !complete(epoch); ++epoch) {
    for (const Batch& batch : packs_of_epoch(lengths, options, epoch)) {
      if (complete(epoch)) break;
      ++length.packs;
      length.tokens += batch.tokens();
    }
  }
  length.steps = (length.packs + limits.packs_per_step - 1) / limits.packs_per_step;
  length.fill = static_cast<double>(length.tokens) /
                static_cast<double>(std::max<std::int64_t>(1, length.packs) * options.capacity);
  return length;
}

}  // namespace reflect
