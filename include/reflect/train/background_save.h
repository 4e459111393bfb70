// Saving on a thread of its own while training goes on.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <thread>

namespace reflect {

// One save at a time. What goes wrong in a save is thrown by the next call of any of start, check
// and wait, once.
class BackgroundSave {
 public:
  BackgroundSave() = default;
  ~BackgroundSave();  // waits; an error that nobody asked for is logged
  BackgroundSave(const BackgroundSave&) = delete;
  BackgroundSave& operator=(const BackgroundSave&) = delete;

  // Waits for the save before, then runs `save` on a thread.
  void start(std::function<void()> save);
  void check();  // without waiting
  void wait();

  std::int64_t saves() const { return saves_; }        // started
  double cpu_seconds() const { return cpu_seconds_; }  // of the thread, in finished saves

 private:
  void join();
  void throw_error();

  std::thread thread_;
  std::atomic<bool> done_ = false;
  std::exception_ptr error_;  // written before done_
  std::int64_t saves_ = 0;
  double cpu_seconds_ = 0;
};

}  // namespace reflect
