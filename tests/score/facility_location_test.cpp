#include "score/facility_location.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <catch2/catch.hpp>
#include <set>

#include "reflect/base/random.h"

namespace reflect {
namespace {

// Rows around `clusters` directions, one after another.
at::Tensor clustered(std::int64_t rows, std::int64_t clusters, std::int64_t size) {
  at::Tensor points = at::empty({rows, size}, at::kFloat);
  float* data = points.mutable_data_ptr<float>();
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t k = 0; k < size; ++k) {
      const auto cluster = static_cast<std::uint64_t>(i % clusters);
      Random centre(1, "centre", {cluster, static_cast<std::uint64_t>(k)});
      Random noise(1, "noise", {static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(k)});
      data[i * size + k] = static_cast<float>(centre.normal() + 0.1 * noise.normal());
    }
  return points;
}

// The greedy choice by its definition: every gain anew in every step.
std::vector<std::size_t> naive(const at::Tensor& x, std::size_t count) {
  const std::int64_t rows = x.size(0);
  const at::Tensor similar = x.mm(x.t()).clamp_min(0).contiguous();
  const float* s = similar.const_data_ptr<float>();
  std::vector<double> best(static_cast<std::size_t>(rows), 0);
  std::set<std::size_t> chosen;
  while (chosen.size() < count) {
    double most = -1;
    std::size_t pick = 0;
    for (std::int64_t j = 0; j < rows; ++j) {
      if (chosen.contains(static_cast<std::size_t>(j))) continue;
      double gain = 0;
      for (std::int64_t i = 0; i < rows; ++i)
        gain += std::max(0.0, s[i * rows + j] - best[static_cast<std::size_t>(i)]);
      if (gain > most + 1e-6) {
        most = gain;
        pick = static_cast<std::size_t>(j);
      }
    }
    chosen.insert(pick);
    for (std::int64_t i = 0; i < rows; ++i)
      best[static_cast<std::size_t>(i)] =
          std::max(best[static_cast<std::size_t>(i)],
                   static_cast<double>(s[i * rows + static_cast<std::int64_t>(pick)]));
  }
  return {chosen.begin(), chosen.end()};
}

}  // namespace

TEST_CASE("the lazy choice is the greedy one") {
  for (const std::int64_t clusters : {3, 17, 60}) {
    const at::Tensor x = centred_directions(clustered(60, clusters, 12));
    for (const std::size_t count : {1, 5, 20})
      CHECK(facility_location(x, count, 0) == naive(x, count));
  }
}

TEST_CASE("as many rows as clusters take one row of each") {
  const at::Tensor x = centred_directions(clustered(300, 10, 16));
  std::set<std::size_t> clusters;
  for (const std::size_t row : facility_location(x, 10, 0)) clusters.insert(row % 10);
  CHECK(clusters.size() == 10);
}

TEST_CASE("more rows than there are gives them all") {
  CHECK(facility_location(centred_directions(clustered(5, 2, 4)), 9, 0) ==
        std::vector<std::size_t>{0, 1, 2, 3, 4});
}

TEST_CASE("directions have length 1 around their mean; equal rows have none") {
  const at::Tensor x = centred_directions(clustered(50, 7, 8));
  CHECK(x.norm(2, 1).sub(1).abs().max().item<float>() < 1e-5);
  CHECK(centred_directions(at::zeros({3, 4})).abs().max().item<float>() == 0);
}

}  // namespace reflect
