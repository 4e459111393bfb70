#include "reflect/model/product.h"

#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>
#include <pthread.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <thread>

#include "reflect/base/signals.h"

namespace reflect {
namespace {

// Sends the thread that makes it SIGUSR1 without a pause, for as long as it lives.
class SignalFlood {
 public:
  ~SignalFlood() {
    stop_ = true;
    sender_.join();
  }

 private:
  std::atomic<bool> stop_ = false;
  pthread_t target_ = ::pthread_self();
  std::thread sender_{[this] {
    while (!stop_) ::pthread_kill(target_, SIGUSR1);
  }};
};

}  // namespace

// With a handler in place of the waiting thread this damages the heap within a second.
TEST_CASE("a flood of signals changes neither products nor the heap") {
  watch_signals();
  const at::Tensor x = at::randn({16, 768}), weight = at::randn({2048, 768});
  const at::Tensor expected = product(x, weight.t());
  CHECK(at::allclose(expected, at::matmul(x, weight.t()), 1e-4, 1e-4));
  const SignalFlood flood;
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1500);
  bool all_equal = true;
  while (std::chrono::steady_clock::now() < end)
    all_equal = all_equal && at::equal(product(x, weight.t()), expected);
  CHECK(all_equal);
}

}  // namespace reflect
