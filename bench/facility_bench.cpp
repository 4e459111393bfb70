// Facility location over synthetic embeddings on one thread: processor time and memory.
//
// Usage: facility_bench ROWS COUNT [SIZE]
// Chooses COUNT of ROWS. Two kinds of rows of SIZE (256) numbers: around 1,000 topics of unequal
// size with noise, and of no structure at all, where bounds help the lazy greedy choice least.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <cmath>
#include <cstdlib>
#include <ctime>

#include "reflect/base/random.h"
#include "score/facility_location.h"

namespace {

using namespace reflect;

constexpr std::uint64_t kTopics = 1000;

double peak_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

// [rows, size] float; `noise` is the length of a row's own part, its topic's part has length 1.
at::Tensor embeddings(std::int64_t rows, std::int64_t size, double noise, bool topics) {
  at::Tensor result = at::empty({rows, size}, at::kFloat);
  float* data = result.mutable_data_ptr<float>();
  const double scale = 1 / std::sqrt(static_cast<double>(size));
  std::vector<std::vector<float>> centres(kTopics);
  for (std::uint64_t t = 0; t < kTopics; ++t) {
    Random random(1, "topic", {t});
    for (std::int64_t k = 0; k < size; ++k)
      centres[t].push_back(static_cast<float>(scale * random.normal()));
  }
  for (std::int64_t i = 0; i < rows; ++i) {
    Random random(1, "row", {static_cast<std::uint64_t>(i)});
    const double u = random.uniform();  // squared: some topics are many times as big as others
    const auto topic = static_cast<std::uint64_t>(static_cast<double>(kTopics) * u * u);
    for (std::int64_t k = 0; k < size; ++k)
      data[i * size + k] = static_cast<float>(noise * scale * random.normal()) +
                           (topics ? centres[topic][static_cast<std::size_t>(k)] : 0);
  }
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    fmt::print("usage: facility_bench ROWS COUNT [SIZE]\n");
    return 2;
  }
  at::set_num_threads(1);
  const std::int64_t rows = std::atoll(argv[1]), size = argc > 3 ? std::atoll(argv[3]) : 256;
  const auto count = static_cast<std::size_t>(std::atoll(argv[2]));
  for (const bool topics : {true, false}) {
    const at::Tensor directions = centred_directions(embeddings(rows, size, 0.7, topics));
    const double before = peak_mib();
    const std::clock_t begin = std::clock();
    const std::vector<std::size_t> chosen = facility_location(directions, count, 0);
    fmt::print("{}: {} of {} rows of {} numbers, {:.1f} s of processor time, {:.0f} MiB more\n",
               topics ? "topics" : "no structure", chosen.size(), rows, size,
               static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC, peak_mib() - before);
  }
}
