// Tells which rank is to blame when a collective fails: every rank gives a sign of life in the
// store all the time, and says how far it has come.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "backend.h"

namespace reflect {

class RollCall {
 public:
  // Which rank of how many this is, and the number that the first one is called by.
  struct Ranks {
    int rank, size, first = 0;
  };
  // `store` for this object alone: another thread uses it.
  RollCall(StorePointer store, const Ranks& ranks, std::chrono::milliseconds interval);
  ~RollCall();  // tells the others that this rank has left

  // This rank has come to its collective number `number`, counting from 1.
  void arrive(std::int64_t number) { arrived_ = number; }

  // Whether all ranks give signs of life, in the next few intervals. One that is silent may be dead
  // or stopped; one that left has ended.
  enum class Presence { kAll, kOneSilent, kOneLeft };
  Presence presence();

  // Why a collective failed that this rank has come to: "rank 2 has died". Takes a few intervals.
  // What the first rank finds out is what all say: the others fail in its wake.
  std::string blame();

 private:
  // What a rank last said of itself.
  struct Sign {
    std::int64_t beat = 0;  // counts up while it lives; kLeft when it has left
    std::int64_t arrived = 0;
  };
  static constexpr std::int64_t kLeft = -1;
  // Other ranks, by what became of them: ended by themselves, died, not yet come.
  struct Absent {
    std::vector<int> left, silent, behind;
  };

  void live(const std::stop_token& stop);
  void say(const Sign& sign);
  std::vector<Sign> signs();
  Absent absent();
  static std::string reason_of(const Absent& absent);
  // The first reason that any rank gave, this one now where none has.
  std::string verdict(const std::string& mine);

  StorePointer store_;
  Ranks ranks_;
  std::chrono::milliseconds interval_;
  std::vector<std::string> keys_;  // of all ranks
  std::atomic<std::int64_t> arrived_ = 0;
  std::mutex store_mutex_;
  std::mutex sleep_mutex_;
  std::condition_variable_any sleep_;
  std::jthread thread_;
};

}  // namespace reflect
