#include "net/pacing.h"

#include <algorithm>
#include <cmath>

namespace reflect {

void ConcurrencyLimit::good_reply() {
  limit_ = std::min(max_, limit_ + 1 / limit_);
}

void ConcurrencyLimit::overload(double sent_at, double now) {
  if (sent_at <= last_decrease_) return;
  limit_ = std::max(1.0, limit_ * kDecrease);
  last_decrease_ = now;
  ++decreases_;
}

void MinuteCap::take(double units, double now) {
  if (per_minute_ > 0) next_ = std::max(next_, now) + units * 60 / per_minute_;
}

void MinuteCap::correct(double units) {
  if (per_minute_ > 0) next_ += units * 60 / per_minute_;
}

double backoff_seconds(double base, double max, std::int64_t tries, Random random) {
  const double full = std::min(max, base * std::exp2(static_cast<double>(tries - 1)));
  return full * (0.5 + 0.5 * random.uniform());
}

}  // namespace reflect
