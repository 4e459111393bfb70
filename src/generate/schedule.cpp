#include "generate/schedule.h"

#include <utility>

namespace reflect {

Schedule::Schedule(std::vector<std::int64_t> prompt_tokens, std::int64_t slots,
                   std::int64_t max_prefill_tokens)
    : prompt_tokens_(std::move(prompt_tokens)),
      taken_(slots, false),
      max_prefill_tokens_(max_prefill_tokens) {}

std::vector<SlotChoice> Schedule::admit() {
  std::vector<SlotChoice> admitted;
  std::int64_t tokens = 0;
  for (std::size_t slot = 0; slot < taken_.size() && next_ < prompt_tokens_.size(); ++slot) {
    if (taken_[slot]) continue;
    tokens += prompt_tokens_[next_];
    if (!admitted.empty() && tokens > max_prefill_tokens_) break;
    taken_[slot] = true;
    admitted.push_back({next_++, static_cast<std::int64_t>(slot)});
  }
  return admitted;
}

void Schedule::release(std::int64_t slot) {
  taken_[slot] = false;
}

}  // namespace reflect
