#include "roll_call.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

namespace reflect {
namespace {

constexpr const char* kVerdict = "roll-call/verdict";

}  // namespace

RollCall::RollCall(StorePointer store, const Ranks& ranks, std::chrono::milliseconds interval)
    : store_(std::move(store)), ranks_(ranks), interval_(interval) {
  for (int r = 0; r < ranks.size; ++r) keys_.push_back(fmt::format("roll-call/{}", r));
  say({0, 0});
  thread_ = std::jthread([this](const std::stop_token& stop) { live(stop); });
}

RollCall::~RollCall() {
  thread_.request_stop();
  thread_.join();
  try {
    say({kLeft, arrived_});
  } catch (const std::exception&) {
    // Rank 0, which keeps the store, has left before.
  }
}

void RollCall::live(const std::stop_token& stop) {
  std::unique_lock lock(sleep_mutex_);
  for (std::int64_t beat = 1; !stop.stop_requested(); ++beat) {
    try {
      say({beat, arrived_});
    } catch (const std::exception&) {
      return;  // rank 0 has gone; the next collective will say so
    }
    sleep_.wait_for(lock, stop, interval_, [] { return false; });
  }
}

void RollCall::say(const Sign& sign) {
  const std::scoped_lock lock(store_mutex_);
  store_->set(keys_[static_cast<std::size_t>(ranks_.rank)],
              fmt::format("{} {}", sign.beat, sign.arrived));
}

std::vector<RollCall::Sign> RollCall::signs() {
  const std::scoped_lock lock(store_mutex_);
  std::vector<Sign> result;
  for (const auto& bytes : store_->multiGet(keys_)) {
    const std::string text(bytes.begin(), bytes.end());
    Sign& sign = result.emplace_back();
    const char* end = text.data() + text.size();
    const char* space = std::from_chars(text.data(), end, sign.beat).ptr;
    std::from_chars(std::min(space + 1, end), end, sign.arrived);
  }
  return result;
}

RollCall::Absent RollCall::absent() {
  const std::vector<Sign> before = signs();
  std::this_thread::sleep_for(3 * interval_);
  const std::vector<Sign> after = signs();
  Absent found;
  for (std::size_t r = 0; r < after.size(); ++r) {
    if (static_cast<int>(r) == ranks_.rank) continue;
    const int name = ranks_.first + static_cast<int>(r);
    if (after[r].beat == kLeft) {
      found.left.push_back(name);
    } else if (after[r].beat == before[r].beat) {
      found.silent.push_back(name);
    } else if (after[r].arrived < arrived_) {
      found.behind.push_back(name);
    }
  }
  return found;
}

RollCall::Presence RollCall::presence() {
  const Absent found = absent();
  if (!found.left.empty()) return Presence::kOneLeft;
  return found.silent.empty() ? Presence::kAll : Presence::kOneSilent;
}

std::string RollCall::verdict(const std::string& mine) {
  const std::scoped_lock lock(store_mutex_);
  return store_->compareSet(kVerdict, "", mine);
}

std::string RollCall::reason_of(const Absent& absent) {
  const auto& [left, silent, behind] = absent;
  if (!silent.empty())
    return fmt::format("rank {} gives no sign of life: its process or machine has died",
                       fmt::join(silent, ", "));
  if (!left.empty())
    return fmt::format("rank {} has ended; its own message says why", fmt::join(left, ", "));
  if (!behind.empty())
    return fmt::format("rank {} lives but did not come in time", fmt::join(behind, ", "));
  return "all ranks live and have come: the network between them fails";
}

std::string RollCall::blame() {
  try {
    std::string text = verdict("");
    if (text.empty()) text = verdict(reason_of(absent()));
    // Rank 0 keeps the store that the others read the verdict from: it stays a moment longer.
    if (ranks_.rank == 0) std::this_thread::sleep_for(3 * interval_);
    return text;
  } catch (const std::exception&) {
    return "rank 0 has died or ended: it does not answer";
  }
}

}  // namespace reflect
