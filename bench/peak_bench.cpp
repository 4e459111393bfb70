// What this machine can do at most: matrix products in GFLOP/s, and reading memory in GB/s. The
// shares in docs/benchmarks.md refer to it.
#include <ATen/Parallel.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/sum.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "reflect/base/runtime.h"
#include "reflect/cli/app.h"
#include "reflect/model/product.h"
#include "reflect/model/runtime.h"

namespace reflect {
namespace {

struct PeakConfig {
  std::int64_t rows = 1024;
  std::int64_t width = 2048;
  RuntimeConfig runtime;

  void visit(auto& v) {
    v("rows", rows, "Rows of the left matrix.");
    v("width", width, "Rows and columns of the square weight.");
    runtime.visit(v);
  }
};

double best_seconds(const auto& action) {
  double best = 1e9;
  for (int i = 0; i < 20; ++i) {
    const auto start = std::chrono::steady_clock::now();
    action();
    const auto end = std::chrono::steady_clock::now();
    best = std::min(best, std::chrono::duration<double>(end - start).count());
  }
  return best;
}

ExitCode bench(const PeakConfig& config) {
  const Runtime runtime = start_runtime(config.runtime);
  const at::Tensor x = at::rand({config.rows, config.width}, at::kFloat).to(runtime.dtype);
  const at::Tensor weight = at::rand({config.width, config.width}, at::kFloat).to(runtime.dtype);
  const double product_s = best_seconds([&] { product(x, weight.t()); });
  const at::Tensor large = at::ones({std::int64_t{1} << 27}, at::kFloat);  // 512 MiB
  const double read_s = best_seconds([&] { at::sum(large); });
  const double flops = 2.0 * static_cast<double>(config.rows * config.width * config.width);
  const nlohmann::ordered_json line = {
      {"dtype", name_of_dtype(runtime.dtype)},
      {"threads", at::get_num_threads()},
      {"product_gflop_per_s", flops / product_s / 1e9},
      {"read_gb_per_s", static_cast<double>(large.nbytes()) / read_s / 1e9}};
  fmt::print("{}\n", line.dump());
  return ExitCode::kDone;
}

}  // namespace
}  // namespace reflect

int main(int argc, char** argv) {
  const reflect::AppInfo info = {.name = "peak_bench",
                                 .summary = "Measures matrix products and memory.",
                                 .examples = "peak_bench --dtype bf16 --threads 2"};
  return reflect::run_app(argc, argv, info, reflect::bench);
}
