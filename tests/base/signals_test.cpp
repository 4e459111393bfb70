#include "reflect/base/signals.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <thread>

using namespace reflect;

namespace {

// The flag after this process was sent `number`; waits for the thread that takes it.
int received_after(int number) {
  ::kill(::getpid(), number);
  for (int i = 0; i < 1000 && signal_received() != number; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  return signal_received();
}

bool is_blocked(int number) {
  sigset_t blocked;
  ::pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
  return sigismember(&blocked, number) == 1;
}

}  // namespace

TEST_CASE("signals are remembered, not deadly, and interrupt no thread that computes") {
  watch_signals();
  CHECK(signal_received() == 0);
  CHECK(received_after(SIGUSR1) == SIGUSR1);
  CHECK(received_after(SIGTERM) == SIGTERM);
  CHECK(received_after(SIGINT) == SIGINT);

  bool is_blocked_in_new_thread = false;
  std::thread([&] { is_blocked_in_new_thread = is_blocked(SIGTERM); }).join();
  CHECK(is_blocked_in_new_thread);

  struct sigaction action = {};
  sigaction(SIGINT, nullptr, &action);
  CHECK(action.sa_handler == SIG_DFL);  // the next Ctrl-C ends the process
}
