#include "score/prefix_tree.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace reflect {

namespace {

std::int64_t size_of(const Ids& ids) {
  return static_cast<std::int64_t>(ids.size());
}

std::int64_t common_tokens(const Ids& a, const Ids& b) {
  return std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin();
}

class TreeBuilder {
 public:
  explicit TreeBuilder(const std::vector<const Ids*>& texts) : texts_(texts) {
    tree_.rows.offsets.push_back(0);
    tree_.places.resize(texts.size());
    if (!texts.empty()) add({0, texts.size()}, 0, -1);
  }
  PrefixTree take() && { return std::move(tree_); }

 private:
  struct Range {
    std::size_t begin, end;  // of texts_
  };

  // The texts of `range`, equal before token `depth`, which row `parent` ends with.
  void add(Range range, std::int64_t depth, std::int64_t parent) {
    const Ids& first = *texts_[range.begin];
    const std::int64_t common = common_tokens(first, *texts_[range.end - 1]);  // of all between
    const bool all_end = common == size_of(*texts_[range.end - 1]);
    if (common > depth && (all_end || common - depth >= kSharedTokens)) {
      parent = add_row(range, depth, common, parent);
      depth = common;
    }
    if (all_end) return;
    for (std::size_t begin = range.begin; begin < range.end;) {
      const std::size_t end = same_next(begin, range.end, common);
      add({begin, end}, depth, parent);
      begin = end;
    }
  }

  // Behind the texts from `begin` on that go on alike at token `at`; those that end there are
  // first.
  std::size_t same_next(std::size_t begin, std::size_t limit, std::int64_t at) const {
    const auto next = [&](std::size_t i) {
      return size_of(*texts_[i]) > at ? (*texts_[i])[at] : -1;
    };
    std::size_t end = begin + 1;
    while (end < limit && next(end) == next(begin)) ++end;
    return end;
  }

  std::int64_t add_row(Range range, std::int64_t from, std::int64_t to, std::int64_t parent) {
    const Ids& text = *texts_[range.begin];
    const std::int64_t first = size_of_tree();
    tree_.ids.insert(tree_.ids.end(), text.begin() + from, text.begin() + to);
    for (std::size_t i = range.begin; i < range.end; ++i) {
      std::vector<std::int64_t>& places = tree_.places[i];
      places.resize(to);
      std::iota(places.begin() + from, places.end(), first);
    }
    tree_.rows.offsets.push_back(size_of_tree());
    tree_.rows.parent.push_back(parent);
    return tree_.rows.rows() - 1;
  }

  std::int64_t size_of_tree() const { return static_cast<std::int64_t>(tree_.ids.size()); }

  const std::vector<const Ids*>& texts_;
  PrefixTree tree_;
};

}  // namespace

std::int64_t shared_tokens(const Ids& a, const Ids& b) {
  const std::int64_t common = common_tokens(a, b);
  const bool all = common == size_of(a) && common == size_of(b);
  return all || common >= kSharedTokens ? common : 0;
}

PrefixTree prefix_tree(const std::vector<const Ids*>& texts) {
  return TreeBuilder(texts).take();
}

std::vector<std::vector<std::size_t>> plan_batches(const std::vector<Ids>& texts,
                                                   std::int64_t budget) {
  // What a forward pass costs beside its tokens, in tokens: it reads all weights.
  constexpr std::int64_t kPassCost = 32;
  std::vector<std::size_t> order(texts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return texts[a] < texts[b]; });
  std::vector<std::int64_t> added(order.size());  // by a text to a batch that holds the one before
  for (std::size_t i = 1; i < order.size(); ++i)
    added[i] = size_of(texts[order[i]]) - shared_tokens(texts[order[i - 1]], texts[order[i]]);

  // cost[n]: of the best cut of the first n texts; start[n]: where its last batch begins.
  std::vector<std::int64_t> cost(order.size() + 1, std::numeric_limits<std::int64_t>::max());
  std::vector<std::size_t> start(order.size() + 1);
  cost[0] = 0;
  for (std::size_t begin = 0; begin < order.size(); ++begin) {
    std::int64_t tokens = size_of(texts[order[begin]]);
    for (std::size_t end = begin + 1; end == begin + 1 || tokens <= budget;) {
      const std::int64_t total = cost[begin] + tokens + kPassCost;
      if (total < cost[end]) {
        cost[end] = total;
        start[end] = begin;
      }
      if (end == order.size()) break;
      tokens += added[end++];
    }
  }

  std::vector<std::vector<std::size_t>> batches;
  for (std::size_t end = order.size(); end > 0; end = start[end])
    batches.emplace_back(order.begin() + static_cast<std::ptrdiff_t>(start[end]),
                         order.begin() + static_cast<std::ptrdiff_t>(end));
  std::reverse(batches.begin(), batches.end());
  return batches;
}

}  // namespace reflect
