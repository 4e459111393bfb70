#include "dropout.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/bernoulli.h>
#include <ATen/ops/empty_like.h>

namespace reflect {

at::Tensor dropped_out(const at::Tensor& x, double p, std::uint64_t key) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(key);
  const double keep = 1.0 - p;
  const at::Tensor mask = at::bernoulli(at::empty_like(x, at::kCPU), keep, generator);
  return x * mask.to(x.device()) / keep;
}

}  // namespace reflect
