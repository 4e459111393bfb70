#include "reflect/base/signals.h"

#include <csignal>

namespace reflect {
namespace {

volatile std::sig_atomic_t received = 0;

void remember(int number) {
  received = number;
}

}  // namespace

void watch_signals() {
  struct sigaction action = {};
  action.sa_handler = remember;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGUSR1, &action, nullptr);
  action.sa_flags |= SA_RESETHAND;  // a second Ctrl-C ends the process at once
  sigaction(SIGINT, &action, nullptr);
}

void note_signal(int number) {
  received = number;
}

int signal_received() {
  return received;
}

}  // namespace reflect
