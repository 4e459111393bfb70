#include "reflect/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace reflect {

std::int64_t warmup_steps_of(const ScheduleConfig& config, std::int64_t total_steps) {
  if (config.warmup_steps > 0) return config.warmup_steps;
  return static_cast<std::int64_t>(
      std::ceil(config.warmup_ratio * static_cast<double>(total_steps)));
}

double schedule_factor(const ScheduleConfig& config, std::int64_t step, std::int64_t total_steps) {
  const std::int64_t warmup = warmup_steps_of(config, total_steps);
  if (step < warmup) return static_cast<double>(step) / static_cast<double>(warmup);
  if (config.type == "constant") return 1;
  const double progress = static_cast<double>(step - warmup) /
                          static_cast<double>(std::max<std::int64_t>(1, total_steps - warmup));
  const double shape =
      config.type == "cosine" ? 0.5 * (1 + std::cos(std::numbers::pi * progress)) : 1 - progress;
  return std::max(0.0, shape) * (1 - config.min_lr_ratio) + config.min_lr_ratio;
}

}  // namespace reflect
