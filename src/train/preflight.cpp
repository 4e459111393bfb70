#include "preflight.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "reflect/base/error.h"

namespace reflect {
namespace {

double loss_of(TunedModel& model, const TokenizedCorpus& examples, const Batch& batch) {
  const PackInputs inputs = pack_inputs(examples, batch, model.llama().runtime().device);
  const at::Tensor nll = pack_loss(model.llama(), inputs, model.forward_options(), 1).nll;
  return nll.dot(inputs.weights).item<double>();
}

}  // namespace

void check_packing(TunedModel& model, const TokenizedCorpus& examples, const Batch& batch) {
  const at::NoGradGuard no_grad;
  const double packed = loss_of(model, examples, batch);
  double apart = 0;
  for (const std::int64_t row : batch.row_index) {
    const std::int64_t length = examples.entry(static_cast<std::size_t>(row)).tokens;
    apart += loss_of(model, examples, {{row}, {0, length}});
  }
  const double bound = model.llama().runtime().dtype == at::kFloat ? 1e-4 : 2e-2;
  if (std::abs(packed - apart) <= bound * std::abs(apart) || !std::isfinite(apart)) return;
  fail("train",
       "packing changes the loss of the first pack: {} packed, {} row by row; rows leak into each "
       "other",
       packed, apart);
}

}  // namespace reflect
