#include "reflect/base/signals.h"

#include <catch2/catch.hpp>
#include <csignal>

using namespace reflect;

TEST_CASE("signals are remembered, not deadly") {
  watch_signals();
  CHECK(signal_received() == 0);
  std::raise(SIGUSR1);
  CHECK(signal_received() == SIGUSR1);
  std::raise(SIGTERM);
  CHECK(signal_received() == SIGTERM);
  std::raise(SIGINT);
  CHECK(signal_received() == SIGINT);

  struct sigaction action = {};
  sigaction(SIGINT, nullptr, &action);
  CHECK(action.sa_handler == SIG_DFL);  // the next Ctrl-C ends the process
  for (const int number : {SIGUSR1, SIGTERM}) std::signal(number, SIG_DFL);
}
