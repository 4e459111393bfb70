#include "dropout.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/bernoulli.h>
#include <ATen/ops/empty.h>

#include "reflect/base/random.h"

namespace reflect {

at::Tensor dropped_out(const at::Tensor& x, double p, std::uint64_t key, const Slice& columns) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(key);
  const double keep = 1.0 - p;
  const std::int64_t own = x.size(1);
  const at::Tensor whole =
      at::empty({x.size(0), own * columns.count}, x.options().device(at::kCPU));
  const at::Tensor mask =
      at::bernoulli(whole, keep, generator).narrow(1, own * columns.index, own).contiguous();
  return x * mask.to(x.device()) / keep;
}

at::Tensor dropped_out_by_row(const at::Tensor& x, double p, std::uint64_t key,
                              std::int64_t first) {
  const double keep = 1.0 - p;
  const at::Tensor mask = at::empty(x.sizes(), x.options().device(at::kCPU));
  for (std::int64_t row = 0; row < x.size(0); ++row) {
    const auto number = static_cast<std::uint64_t>(first + row);
    auto generator = at::make_generator<at::CPUGeneratorImpl>(random_key(key, "row", {number}));
    mask.select(0, row).bernoulli_(keep, generator);
  }
  return x * mask.to(x.device()) / keep;
}

}  // namespace reflect
