#include "reflect/train/pack_plan.h"

#include <algorithm>
#include <numeric>

#include "reflect/base/random.h"

namespace reflect {

PackPlan::PackPlan(std::vector<std::int64_t> lengths, PackOptions options, RowTraits traits)
    : lengths_(std::move(lengths)), options_(std::move(options)) {
  const auto rows = static_cast<std::ptrdiff_t>(options_.rows_per_item);
  for (auto row = lengths_.begin(); row != lengths_.end(); row += rows)
    items_.push_back(std::accumulate(row, row + rows, std::int64_t{0}));
  order_ = RowOrder(std::ssize(items_), std::move(traits),
                    {.shuffle = options_.shuffle, .mix = options_.mix, .seed = options_.seed});
}

std::int64_t PackPlan::longest() const {
  return items_.empty() ? 0 : *std::ranges::max_element(items_);
}

Batch PackPlan::rows_of(const Batch& items) const {
  if (options_.rows_per_item == 1) return items;
  Batch rows{{}, {0}};
  for (const std::int64_t item : items.row_index)
    for (std::int64_t i = 0; i < options_.rows_per_item; ++i) {
      rows.row_index.push_back(item * options_.rows_per_item + i);
      rows.offsets.push_back(rows.offsets.back() +
                             lengths_[static_cast<std::size_t>(rows.row_index.back())]);
    }
  return rows;
}

std::vector<Batch> PackPlan::epoch(std::int64_t epoch) const {
  const auto key = static_cast<std::uint64_t>(epoch);
  const std::vector<std::int64_t> order = order_.epoch(epoch);
  const std::int64_t rows = std::ssize(order);
  std::vector<Batch> packs;
  for (std::int64_t begin = 0; begin < rows; begin += options_.window) {
    const std::int64_t end = std::min(rows, begin + options_.window);
    const std::vector<std::int64_t> window(order.begin() + begin, order.begin() + end);
    for (const Batch& items : pack(items_, window, options_.capacity))
      packs.push_back(rows_of(items));
  }
  // Packs come in the order of their first row, so those with many short rows come early: mix them.
  if (options_.shuffle && !order_.is_curriculum())
    Random(options_.seed, "order of packs", {key}).shuffle(packs);
  return packs;
}

Batch PackStream::next() {
  const auto load = [&] {
    if (loaded_epoch_ == position_.epoch) return;
    packs_ = plan_.epoch(position_.epoch);
    loaded_epoch_ = position_.epoch;
  };
  load();
  if (position_.pack == static_cast<std::int64_t>(packs_.size())) {
    position_ = {position_.epoch + 1, 0};
    load();
  }
  return packs_[static_cast<std::size_t>(position_.pack++)];
}

RunLength measure_run(const PackPlan& plan, const RunLimits& limits) {
  RunLength length;
  const auto complete = [&](std::int64_t epoch) {
    if (limits.max_steps > 0) return length.packs == limits.max_steps * limits.packs_per_step;
    if (limits.max_tokens > 0)
      return length.tokens >= limits.max_tokens && length.packs % limits.packs_per_step == 0;
    return epoch == limits.epochs;
  };
  for (std::int64_t epoch = 0; !complete(epoch); ++epoch) {
    for (const Batch& batch : plan.epoch(epoch)) {
      if (complete(epoch)) break;
      ++length.packs;
      length.tokens += batch.tokens();
    }
  }
  length.steps = (length.packs + limits.packs_per_step - 1) / limits.packs_per_step;
  return length;
}

}  // namespace reflect
