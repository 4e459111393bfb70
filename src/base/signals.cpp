#include "reflect/base/signals.h"

#include <atomic>
#include <csignal>
#include <initializer_list>
#include <mutex>
#include <thread>

namespace reflect {
namespace {

std::atomic<int> received = 0;

sigset_t set_of(std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) sigaddset(&set, signal);
  return set;
}

void wait_for_signals(sigset_t watched) {
  for (int number = 0; ::sigwait(&watched, &number) == 0;) {
    if (number == SIGINT) {  // a second Ctrl-C ends the process at once
      const sigset_t interrupt = set_of({SIGINT});
      std::signal(SIGINT, SIG_DFL);
      sigdelset(&watched, SIGINT);
      ::pthread_sigmask(SIG_UNBLOCK, &interrupt, nullptr);
    }
    received = number;
  }
}

}  // namespace

void watch_signals() {
  static std::once_flag watching;
  std::call_once(watching, [] {
    const sigset_t watched = set_of({SIGTERM, SIGUSR1, SIGINT});
    ::pthread_sigmask(SIG_BLOCK, &watched, nullptr);
    std::signal(SIGXFSZ, SIG_IGN);  // a file over `ulimit -f`: the write fails and says so
    std::thread(wait_for_signals, watched).detach();
  });
}

void note_signal(int number) {
  received = number;
}

int signal_received() {
  return received;
}

}  // namespace reflect
