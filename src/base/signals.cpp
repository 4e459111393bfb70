#include "reflect/base/signals.h"

#include <atomic>
#include <csignal>
#include <thread>

namespace reflect {
namespace {

std::atomic<int> received = 0;

void set_mask(int how, std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) sigaddset(&set, signal);
  ::pthread_sigmask(how, &set, nullptr);
}

void wait_for_signals() {
  sigset_t watched;
  sigemptyset(&watched);
  for (const int signal : {SIGTERM, SIGUSR1, SIGINT}) sigaddset(&watched, signal);
  for (int number = 0; ::sigwait(&watched, &number) == 0;) {
    if (number == SIGINT) {  // a second Ctrl-C ends the process at once
      std::signal(SIGINT, SIG_DFL);
      sigdelset(&watched, SIGINT);
      set_mask(SIG_UNBLOCK, {SIGINT});
    }
    received = number;
  }
}

}  // namespace

void watch_signals() {
  static const bool once = [] {
    set_mask(SIG_BLOCK, {SIGTERM, SIGUSR1, SIGINT});
    std::thread(wait_for_signals).detach();
    return true;
  }();
  static_cast<void>(once);
}

void note_signal(int number) {
  received = number;
}

int signal_received() {
  return received;
}

}  // namespace reflect
