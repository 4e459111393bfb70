// Which rows share a pack, in which order: a pure function of lengths, seed and settings.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "reflect/data/batch.h"
#include "reflect/train/row_order.h"

namespace reflect {

struct PackingConfig {
  std::int64_t capacity = 0;
  std::int64_t window = 1024;
  void visit(auto& v) {
    v("capacity", capacity, "Tokens of one pack at most; 0: max_seq_length.");
    v("window", window, "Consecutive rows that are packed together.");
  }
};

struct PackOptions {
  std::int64_t capacity = 4096;
  std::int64_t window = 1024;
  std::int64_t rows_per_item = 1;  // consecutive rows that stay together: 2 for pairs
  bool shuffle = true;             // else rows come in the order of the input
  std::vector<double> mix = {};    // see RowOrderOptions
  std::uint64_t seed = 0;
};

class PackPlan {
 public:
  // `lengths` of all rows in tokens, `traits` of all items.
  PackPlan(std::vector<std::int64_t> lengths, PackOptions options, RowTraits traits = {});

  // The packs of one epoch: each window of consecutive items of a RowOrder is packed on its own, so
  // that an order of the input or a curriculum survives.
  std::vector<Batch> epoch(std::int64_t epoch) const;
  const PackOptions& options() const { return options_; }
  const RowOrder& order() const { return order_; }
  std::int64_t longest() const;  // tokens of the longest item

 private:
  Batch rows_of(const Batch& items) const;

  std::vector<std::int64_t> lengths_;  // of rows
  std::vector<std::int64_t> items_;    // lengths of items
  PackOptions options_;
  RowOrder order_;
};

// Where a run stands in its data: the next pack. Found again without replaying what came before.
struct DataPosition {
  std::int64_t epoch = 0;
  std::int64_t pack = 0;
  bool operator==(const DataPosition&) const = default;
};

// The endless sequence of packs, epoch after epoch.
class PackStream {
 public:
  explicit PackStream(PackPlan plan) : plan_(std::move(plan)) {}
  Batch next();
  void seek(const DataPosition& position) { position_ = position; }
  const DataPosition& position() const { return position_; }  // of what `next` returns next

 private:
  PackPlan plan_;
  DataPosition position_;
  std::int64_t loaded_epoch_ = -1;
  std::vector<Batch> packs_;  // of loaded_epoch_
};

// How long a run is; max_steps or max_tokens above 0 replace epochs, and data repeats as needed.
struct RunLimits {
  std::int64_t epochs = 1;
  std::int64_t max_steps = 0;
  std::int64_t max_tokens = 0;
  std::int64_t packs_per_step = 1;
};

struct RunLength {
  std::int64_t steps = 0;
  std::int64_t packs = 0;  // of all steps; the last step has what is left
  std::int64_t tokens = 0;
};

RunLength measure_run(const PackPlan& plan, const RunLimits& limits);

}  // namespace reflect
