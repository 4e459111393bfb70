#include "score/facility_location.h"

#include <ATen/Parallel.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <numeric>
#include <queue>

#include "reflect/base/random.h"
#include "reflect/model/product.h"

namespace reflect {

namespace {

constexpr std::int64_t kClientBlock = 256;

// The rows that the chosen ones shall represent, and how well each is so far.
class Clients {
 public:
  Clients(const at::Tensor& directions, std::uint64_t seed) : directions_(directions) {
    std::vector<std::int64_t> rows(static_cast<std::size_t>(directions.size(0)));
    std::iota(rows.begin(), rows.end(), 0);
    if (directions.size(0) > kMostClients) {
      Random(seed, "facility_location").shuffle(rows);
      rows.resize(kMostClients);
    }
    clients_ = directions.index_select(0, tensor_of(rows));
    best_ = at::zeros({clients_.size(0), 1}, at::kFloat);
  }

  // What each of the rows would add, [rows]. Sums over blocks of clients, whatever the threads.
  std::vector<float> gains(std::vector<std::int64_t>& rows) const {
    const at::Tensor similar = product(clients_, directions_.index_select(0, tensor_of(rows)).t());
    const std::int64_t count = similar.size(1), clients = similar.size(0);
    const std::int64_t blocks = (clients + kClientBlock - 1) / kClientBlock;
    const float *from = similar.const_data_ptr<float>(), *best = best_.const_data_ptr<float>();
    std::vector<float> sums(static_cast<std::size_t>(blocks * count), 0);
    at::parallel_for(0, blocks, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t block = begin; block < end; ++block) {
        float* sum = sums.data() + block * count;
        const std::int64_t last = std::min((block + 1) * kClientBlock, clients);
        for (std::int64_t i = block * kClientBlock; i < last; ++i)
          for (std::int64_t c = 0; c < count; ++c)
            sum[c] += std::max(0.0F, from[i * count + c] - best[i]);
      }
    });
    std::vector<float> gains(static_cast<std::size_t>(count));
    for (std::int64_t c = 0; c < count; ++c) {
      double sum = 0;
      for (std::int64_t block = 0; block < blocks; ++block) sum += sums[block * count + c];
      gains[static_cast<std::size_t>(c)] = static_cast<float>(sum);
    }
    return gains;
  }

  void choose(std::int64_t row) {
    best_ = at::maximum(best_, product(clients_, directions_.narrow(0, row, 1).t()));
  }

 private:
  static at::Tensor tensor_of(std::vector<std::int64_t>& rows) {
    return at::from_blob(rows.data(), {static_cast<std::int64_t>(rows.size())}, at::kLong);
  }

  at::Tensor directions_, clients_, best_;  // [N, d], [M, d], [M, 1]
};

struct Bound {
  float gain;  // an upper bound; exact when `chosen` rows were chosen as it was computed
  std::int64_t row;
  std::size_t chosen;
  bool operator<(const Bound& other) const {
    return gain != other.gain ? gain < other.gain : row > other.row;
  }
};

}  // namespace

at::Tensor centred_directions(const at::Tensor& embeddings) {
  const at::Tensor centred = embeddings.sub(embeddings.mean(0, true));
  return centred.div(centred.norm(2, 1, true).clamp_min(1e-12)).contiguous();
}

std::vector<std::size_t> facility_location(const at::Tensor& directions, std::size_t count,
                                           std::uint64_t seed) {
  const c10::InferenceMode no_gradients;
  constexpr std::size_t kBlock = 256, kLeastBlock = 32;  // rows that one product evaluates
  const auto rows = static_cast<std::size_t>(directions.size(0));
  Clients clients(directions, seed);
  std::priority_queue<Bound> bounds;
  for (std::size_t begin = 0; begin < rows; begin += kBlock) {
    std::vector<std::int64_t> block(std::min(kBlock, rows - begin));
    std::iota(block.begin(), block.end(), static_cast<std::int64_t>(begin));
    const std::vector<float> gains = clients.gains(block);
    for (std::size_t i = 0; i < block.size(); ++i) bounds.push({gains[i], block[i], 0});
  }
  std::vector<std::size_t> chosen;
  std::size_t lazy_block = kLeastBlock;  // grows while no choice is found
  while (chosen.size() < count && !bounds.empty()) {
    if (bounds.top().chosen == chosen.size()) {
      chosen.push_back(static_cast<std::size_t>(bounds.top().row));
      clients.choose(bounds.top().row);
      bounds.pop();
      lazy_block = kLeastBlock;
      continue;
    }
    std::vector<std::int64_t> stale;
    while (!bounds.empty() && stale.size() < lazy_block && bounds.top().chosen != chosen.size()) {
      stale.push_back(bounds.top().row);
      bounds.pop();
    }
    const std::vector<float> gains = clients.gains(stale);
    for (std::size_t i = 0; i < stale.size(); ++i) bounds.push({gains[i], stale[i], chosen.size()});
    lazy_block = std::min(2 * lazy_block, kBlock);
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

}  // namespace reflect
