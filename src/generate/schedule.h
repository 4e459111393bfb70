// Which requests share the batch: slots are given out in request order, and a slot that a finished
// row leaves goes to the next request. A pure function of the requests and of how long each row
// turns out to be, so timing never changes it.
#pragma once

#include <cstdint>
#include <vector>

namespace reflect {

struct SlotChoice {
  std::size_t request;
  std::int64_t slot;
};

class Schedule {
 public:
  // `prompt_tokens` of every request, in order. `max_prefill_tokens` bounds one admission; a longer
  // prompt is admitted alone.
  Schedule(std::vector<std::int64_t> prompt_tokens, std::int64_t slots,
           std::int64_t max_prefill_tokens);

  // The next requests to prefill together, with the slots that they take (lowest first); empty when
  // no slot is free or no request is left.
  std::vector<SlotChoice> admit();
  // The row in `slot` is done; its slot is free again.
  void release(std::int64_t slot);

 private:
  std::vector<std::int64_t> prompt_tokens_;
  std::vector<bool> taken_;
  std::int64_t max_prefill_tokens_;
  std::size_t next_ = 0;
};

}  // namespace reflect
