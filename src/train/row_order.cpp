#include "reflect/train/row_order.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "reflect/base/error.h"
#include "reflect/base/random.h"

namespace reflect {
namespace {

// `total` split in proportion to `shares`: rounded down, and what is left to the largest rests.
std::vector<std::int64_t> split(std::int64_t total, const std::vector<double>& shares) {
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  std::vector<std::int64_t> parts;
  std::vector<double> rests;
  for (const double share : shares) {
    const double exact = static_cast<double>(total) * share / sum;
    parts.push_back(static_cast<std::int64_t>(exact));
    rests.push_back(exact - std::floor(exact));
  }
  std::vector<std::size_t> order(shares.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](auto a, auto b) { return rests[a] > rests[b]; });
  const std::int64_t left = total - std::accumulate(parts.begin(), parts.end(), std::int64_t{0});
  for (std::int64_t i = 0; i < left; ++i) ++parts[order[static_cast<std::size_t>(i)]];
  return parts;
}

std::uint64_t key(auto number) {
  return static_cast<std::uint64_t>(number);
}

}  // namespace

RowOrder::RowOrder(std::int64_t items, RowTraits traits, RowOrderOptions options)
    : traits_(std::move(traits)), options_(std::move(options)) {
  items_of_.resize(std::max<std::size_t>(1, options_.mix.size()));
  for (std::int64_t item = 0; item < items; ++item) {
    const bool apart = !options_.mix.empty() && !traits_.file.empty();
    const auto file = apart ? traits_.file[static_cast<std::size_t>(item)] : 0;
    items_of_.at(static_cast<std::size_t>(file)).push_back(item);
  }
  quotas_ = options_.mix.empty() ? std::vector{items} : split(items, options_.mix);
  for (std::size_t file = 0; file < items_of_.size(); ++file) {
    if (quotas_[file] > 0 && items_of_[file].empty())
      fail_usage("train", "--mix asks for rows of file {} of --train, which has none to train on",
                 file + 1);
    if (traits_.weight.empty() || quotas_[file] == 0) continue;
    double sum = 0;
    for (const std::int64_t item : items_of_[file])
      sum += traits_.weight[static_cast<std::size_t>(item)];
    if (!(sum > 0))
      fail_usage("train", "--weight_by: all rows of file {} of --train have weight 0", file + 1);
  }
}

std::vector<std::int64_t> RowOrder::epoch(std::int64_t epoch) const {
  std::vector<std::int64_t> order;
  for (std::size_t file = 0; file < items_of_.size(); ++file) {
    std::vector<std::int64_t> items = items_of_[file];
    if (!traits_.weight.empty()) {
      items = draw_by_weight(file, epoch);
    } else if (!options_.mix.empty()) {
      items = next_in_passes(file, epoch);
    }
    order.insert(order.end(), items.begin(), items.end());
  }
  if (options_.shuffle) Random(options_.seed, "order of rows", {key(epoch)}).shuffle(order);
  const auto& difficulty = traits_.difficulty;
  if (is_curriculum())
    std::ranges::stable_sort(order, [&](auto a, auto b) {
      return difficulty[static_cast<std::size_t>(a)] < difficulty[static_cast<std::size_t>(b)];
    });
  return order;
}

std::vector<std::int64_t> RowOrder::next_in_passes(std::size_t file, std::int64_t epoch) const {
  const auto size = static_cast<std::int64_t>(items_of_[file].size());
  std::vector<std::int64_t> next;
  std::vector<std::int64_t> pass;
  for (std::int64_t at = epoch * quotas_[file]; at < (epoch + 1) * quotas_[file]; ++at) {
    if (pass.empty() || at % size == 0) {
      pass = items_of_[file];
      Random(options_.seed, "pass over a file", {key(file), key(at / size)}).shuffle(pass);
    }
    next.push_back(pass[static_cast<std::size_t>(at % size)]);
  }
  return next;
}

std::vector<std::int64_t> RowOrder::draw_by_weight(std::size_t file, std::int64_t epoch) const {
  std::vector<std::int64_t> items = items_of_[file];
  Random random(options_.seed, "rows by weight", {key(file), key(epoch)});
  random.shuffle(items);  // so that neighbours in the file do not exclude each other
  const auto weight = [&](std::int64_t item) {
    return traits_.weight[static_cast<std::size_t>(item)];
  };
  double sum = 0;
  for (const std::int64_t item : items) sum += weight(item);
  const double spacing = sum / static_cast<double>(quotas_[file]), start = random.uniform();
  std::vector<std::int64_t> drawn;
  double reached = 0;
  for (const std::int64_t item : items) {
    reached += weight(item);
    while (std::ssize(drawn) < quotas_[file] &&
           (static_cast<double>(drawn.size()) + start) * spacing < reached)
      drawn.push_back(item);
  }
  // Rounding may leave the last place empty.
  while (std::ssize(drawn) < quotas_[file]) drawn.push_back(drawn.back());
  return drawn;
}

}  // namespace reflect
