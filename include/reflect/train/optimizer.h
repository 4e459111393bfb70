// AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101) over a ParameterBuffer.
#pragma once

#include "reflect/model/safetensors.h"
#include "reflect/train/parameters.h"

namespace reflect {

struct OptimizerConfig {
  double lr = 2e-4;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;
  double lora_plus_ratio = 1;  // of LoraConfig: not a setting of its own
  void visit(auto& v) {
    v("lr", lr, "Peak learning rate.");
    v("beta1", beta1, "Decay of the running mean of gradients.");
    v("beta2", beta2, "Decay of the running mean of squared gradients.");
    v("eps", eps, "Added to the denominator.");
    v("weight_decay", weight_decay, "Decoupled weight decay of matrices (norms have none).");
  }
};

class AdamW {
 public:
  // `parameters` must outlive the optimizer.
  AdamW(const OptimizerConfig& config, ParameterBuffer& parameters);

  // One update from the gradients, at learning rate `lr`; publishes the new values. With LoRA+
  // (Hayou et al. 2024, arXiv 2402.12354) B and DoRA's magnitudes get lr * ratio.
  void step(double lr);

  // Both moments by parameter ("exp_avg.<name>", "exp_avg_sq.<name>") and "step" [1]; sharing
  // memory.
  std::vector<NamedTensor> state() const { return state_of(buffers()); }
  // The same of copies of `buffers()`.
  std::vector<NamedTensor> state_of(const std::vector<at::Tensor>& buffers) const;
  // The same as they lie in memory: both moments and the number of updates.
  std::vector<at::Tensor> buffers() const { return {exp_avg_, exp_avg_sq_, step_}; }
  // Restores what `state` gave. Throws Error when a tensor is missing or has another shape.
  void load(const SafetensorsFile& file);

 private:
  // Parts of the flat buffers that are updated alike.
  struct Group {
    double rate = 1;  // times the learning rate
    double weight_decay = 0;
    std::vector<std::pair<std::int64_t, std::int64_t>> ranges;  // [begin, end)
  };
  std::vector<Group> make_groups() const;

  OptimizerConfig config_;
  ParameterBuffer& parameters_;
  at::Tensor exp_avg_, exp_avg_sq_;  // [P] fp32
  at::Tensor step_;                  // [1] fp32: updates so far
  std::vector<Group> groups_;
};

// Copies the tensor `name` of `file` into `target`. Throws Error when it is missing or its shape
// differs.
void copy_from(const SafetensorsFile& file, const std::string& name, at::Tensor target);

}  // namespace reflect
