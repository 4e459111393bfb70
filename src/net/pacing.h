// When the next request may go out: limits on how many are under way and on how many a minute, and
// pauses between tries. Times are seconds of one steady clock.
#pragma once

#include <cstdint>
#include <limits>

#include "reflect/base/random.h"

namespace reflect {

// Additive increase, multiplicative decrease (Chiu and Jain, 1989): about one more request under
// way for each round of good replies, fewer by a factor when the server is overloaded. Replies to
// requests that were sent before the last decrease do not decrease again.
class ConcurrencyLimit {
 public:
  // Begins at `max` and never exceeds it.
  explicit ConcurrencyLimit(std::int64_t max) : max_(static_cast<double>(max)), limit_(max_) {}

  std::size_t limit() const { return static_cast<std::size_t>(limit_); }
  void good_reply();
  void overload(double sent_at, double now);
  std::int64_t decreases() const { return decreases_; }

 private:
  static constexpr double kDecrease = 0.7;

  double max_;
  double limit_;
  double last_decrease_ = -std::numeric_limits<double>::infinity();
  std::int64_t decreases_ = 0;
};

// At most so many units a minute, evenly spread: no burst after a pause.
class MinuteCap {
 public:
  explicit MinuteCap(double per_minute) : per_minute_(per_minute) {}  // 0: no cap

  // When the next request may go out.
  double next() const { return next_; }
  void take(double units, double now);
  // What was taken turned out to be more (or, negative, less) than it seemed.
  void correct(double units);

 private:
  double per_minute_;
  double next_ = -std::numeric_limits<double>::infinity();
};

// Seconds to wait before a try: `base` * 2^(tries - 1), at most `max`, of which a part from half to
// all is drawn, so that requests that failed together do not come back together. tries >= 1.
double backoff_seconds(double base, double max, std::int64_t tries, Random random);

}  // namespace reflect
