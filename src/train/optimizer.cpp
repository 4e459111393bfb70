#include "reflect/train/optimizer.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "reflect/base/error.h"

namespace reflect {

AdamW::AdamW(const OptimizerConfig& config, ParameterBuffer& parameters)
    : config_(config),
      parameters_(parameters),
      exp_avg_(at::zeros_like(parameters.values())),
      exp_avg_sq_(at::zeros_like(parameters.values())),
      step_(at::zeros({1}, parameters.values().options())) {}

void AdamW::step(double lr) {
  const at::NoGradGuard no_grad;
  step_.add_(1);
  const auto update = [&](std::int64_t begin, std::int64_t end, double weight_decay) {
    if (begin == end) return;
    const auto part = [&](const at::Tensor& flat) { return flat.slice(0, begin, end); };
    at::_fused_adamw_({part(parameters_.values())}, {part(parameters_.gradients())},
                      {part(exp_avg_)}, {part(exp_avg_sq_)}, {}, {step_}, lr, config_.beta1,
                      config_.beta2, weight_decay, config_.eps, /*amsgrad=*/false,
                      /*maximize=*/false);
  };
  update(0, parameters_.matrices_end(), config_.weight_decay);
  update(parameters_.matrices_end(), parameters_.values().numel(), 0);
  parameters_.publish_values();
}

std::vector<NamedTensor> AdamW::state() const {
  std::vector<NamedTensor> tensors = {{"step", step_}};
  for (const Parameter& p : parameters_.parameters()) {
    tensors.push_back({"exp_avg." + p.name, parameters_.view(exp_avg_, p)});
    tensors.push_back({"exp_avg_sq." + p.name, parameters_.view(exp_avg_sq_, p)});
  }
  return tensors;
}

void AdamW::load(const SafetensorsFile& file) {
  for (const NamedTensor& saved : state()) copy_from(file, saved.name, saved.tensor);
}

void copy_from(const SafetensorsFile& file, const std::string& name, at::Tensor target) {
  const at::NoGradGuard no_grad;
  if (!file.contains(name))
    fail("checkpoint", "tensor {} is missing; the checkpoint is damaged", name);
  const at::Tensor saved = file.view(name);
  if (saved.sizes() != target.sizes())
    fail("checkpoint", "tensor {} has {} numbers, {} expected; the checkpoint is of another model",
         name, saved.numel(), target.numel());
  target.copy_(saved);
}

}  // namespace reflect
