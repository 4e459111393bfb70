// Learning-rate schedules with warm-up; the formulas are those of transformers' get_*_schedule.
#pragma once

#include <cstdint>
#include <string>

namespace reflect {

struct ScheduleConfig {
  std::string type = "cosine";
  double warmup_ratio = 0.03;
  std::int64_t warmup_steps = 0;
  double min_lr_ratio = 0;
  void visit(auto& v) {
    v("type", type, "Shape of the learning rate after the warm-up.",
      {"cosine", "linear", "constant"});
    v("warmup_ratio", warmup_ratio, "Share of all steps over which the rate rises from 0.");
    v("warmup_steps", warmup_steps, "Steps of warm-up; above 0 it replaces warmup_ratio.");
    v("min_lr_ratio", min_lr_ratio, "Where cosine and linear end, as a share of the peak rate.");
  }
};

// Steps of warm-up in a run of `total_steps`: warmup_steps, else ceil(warmup_ratio * total_steps).
std::int64_t warmup_steps_of(const ScheduleConfig& config, std::int64_t total_steps);

// The share of the peak learning rate at `step` (from 0). Warm-up: step / warmup_steps. After it,
// with p = (step - warmup) / (total - warmup): cosine 0.5 (1 + cos(pi p)), linear 1 - p, constant
// 1; cosine and linear are then mapped from [0, 1] to [min_lr_ratio, 1].
double schedule_factor(const ScheduleConfig& config, std::int64_t step, std::int64_t total_steps);

}  // namespace reflect
