#include "reflect/train/background_save.h"

#include <ctime>
#include <utility>

#include "reflect/base/log.h"

namespace reflect {
namespace {

double thread_cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace

BackgroundSave::~BackgroundSave() {
  join();
  if (!error_) return;
  try {
    throw_error();
  } catch (const std::exception& error) {
    log_error("{}", error.what());
  }
}

void BackgroundSave::start(std::function<void()> save) {
  wait();
  ++saves_;
  done_ = false;
  thread_ = std::thread([this, save = std::move(save)] {
    try {
      save();
    } catch (...) {
      error_ = std::current_exception();
    }
    cpu_seconds_ += thread_cpu_seconds();
    done_ = true;
  });
}

void BackgroundSave::check() {
  if (done_) wait();
}

void BackgroundSave::wait() {
  join();
  if (error_) throw_error();
}

void BackgroundSave::join() {
  if (thread_.joinable()) thread_.join();
}

void BackgroundSave::throw_error() {
  std::rethrow_exception(std::exchange(error_, nullptr));
}

}  // namespace reflect
