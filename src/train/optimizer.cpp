#include "reflect/train/optimizer.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>

#include "reflect/base/error.h"
#include "reflect/model/lora.h"

namespace reflect {

AdamW::AdamW(const OptimizerConfig& config, ParameterBuffer& parameters)
    : config_(config),
      parameters_(parameters),
      exp_avg_(at::zeros_like(parameters.values())),
      exp_avg_sq_(at::zeros_like(parameters.values())),
      step_(at::zeros({1}, parameters.values().options())),
      groups_(make_groups()) {}

// By rate and decay, neighbours as one range (the padding between them, all zeros, stays so).
std::vector<AdamW::Group> AdamW::make_groups() const {
  std::vector<Group> groups;
  const auto& parameters = parameters_.parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Parameter& p = parameters[i];
    const std::int64_t end =
        i + 1 < parameters.size() ? parameters[i + 1].begin : parameters_.values().numel();
    const double rate = is_lora_output(p.name) ? config_.lora_plus_ratio : 1;
    const double decay = p.begin < parameters_.matrices_end() ? config_.weight_decay : 0;
    auto group = std::ranges::find_if(groups, [&](const Group& known) {
      return known.rate == rate && known.weight_decay == decay;
    });
    if (group == groups.end()) group = groups.insert(groups.end(), {rate, decay, {}});
    if (!group->ranges.empty() && group->ranges.back().second == p.begin) {
      group->ranges.back().second = end;
    } else {
      group->ranges.push_back({p.begin, end});
    }
  }
  return groups;
}

void AdamW::step(double lr) {
  const at::NoGradGuard no_grad;
  step_.add_(1);
  for (const Group& group : groups_) {
    const auto parts = [&](const at::Tensor& flat) {
      std::vector<at::Tensor> all;
      for (const auto& [begin, end] : group.ranges) all.push_back(flat.slice(0, begin, end));
      return all;
    };
    const std::vector<at::Tensor> steps(group.ranges.size(), step_);
    at::_fused_adamw_(parts(parameters_.values()), parts(parameters_.gradients()), parts(exp_avg_),
                      parts(exp_avg_sq_), {}, steps, lr * group.rate, config_.beta1, config_.beta2,
                      group.weight_decay, config_.eps, /*amsgrad=*/false, /*maximize=*/false);
  }
  parameters_.publish_values();
}

std::vector<NamedTensor> AdamW::state_of(const std::vector<at::Tensor>& buffers) const {
  std::vector<NamedTensor> tensors = {{"step", buffers[2]}};
  for (const Parameter& p : parameters_.parameters()) {
    tensors.push_back({"exp_avg." + p.name, parameters_.view(buffers[0], p)});
    tensors.push_back({"exp_avg_sq." + p.name, parameters_.view(buffers[1], p)});
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
