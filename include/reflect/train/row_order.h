// The rows of an epoch, in order: a pure function of settings, seed and epoch.
#pragma once

#include <cstdint>
#include <vector>

namespace reflect {

// What the order depends on besides chance. One entry an item: a row, or a pair of rows.
struct RowTraits {
  std::vector<std::int32_t> file;  // index of the file that it came from; empty: all of one
  std::vector<double> weight;      // in proportion to which rows are drawn; empty: all alike
  std::vector<double> difficulty;  // a curriculum goes from low to high; empty: none
};

struct RowOrderOptions {
  bool shuffle = true;           // else items come as they were read; needs no mix and no weights
  std::vector<double> mix = {};  // share of each file, to any sum; empty: every item once
  std::uint64_t seed = 0;
};

// An epoch has as many items as were read. With a mix, each file gives its share of them: it is
// gone through in shuffled passes that continue from epoch to epoch, so that no item comes a second
// time before all of its file came once. With weights an item comes n * weight / sum of weights
// times, rounded up or down by chance anew each epoch (systematic sampling), where n is the number
// of items that the file gives. Items are then shuffled, or sorted by difficulty with chance among
// equals.
class RowOrder {
 public:
  RowOrder() = default;
  // For `items` items. Throws Error (usage) when a file of the mix has no item, or no weight.
  RowOrder(std::int64_t items, RowTraits traits, RowOrderOptions options);

  std::vector<std::int64_t> epoch(std::int64_t epoch) const;
  // Items of each file in an epoch.
  const std::vector<std::int64_t>& quotas() const { return quotas_; }
  bool is_curriculum() const { return !traits_.difficulty.empty(); }

 private:
  std::vector<std::int64_t> next_in_passes(std::size_t file, std::int64_t epoch) const;
  std::vector<std::int64_t> draw_by_weight(std::size_t file, std::int64_t epoch) const;

  RowTraits traits_;
  RowOrderOptions options_;
  std::vector<std::vector<std::int64_t>> items_of_;  // of each file
  std::vector<std::int64_t> quotas_;
};

}  // namespace reflect
