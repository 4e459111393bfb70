// The launcher with shell scripts as ranks.
#include "reflect/dist/launcher.h"

#include <signal.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <thread>

#include "reflect/base/file.h"
#include "reflect/base/signals.h"
#include "temp_folder.h"

using namespace reflect;

namespace {

// The exit code of `count` ranks that run `script`.
int launch(int count, const std::string& script) {
  return static_cast<int>(
      launch_ranks({.nproc = count, .timeout = 1}, "/bin/sh", {"sh", "-c", script}));
}

}  // namespace

TEST_CASE("ranks are told their place") {
  const TempFolder folder;
  REQUIRE(launch(3,
                 "echo $RANK/$WORLD_SIZE $LOCAL_RANK/$LOCAL_WORLD_SIZE $MASTER_ADDR "
                 "$MASTER_PORT >" +
                     folder.path() + "/$RANK") == 0);
  std::string port;
  for (const std::string rank : {"0", "1", "2"}) {
    const std::string text = read_file(folder / rank);
    const std::string expected = rank + "/3 " + rank + "/3 127.0.0.1 ";
    CHECK(text.starts_with(expected));
    if (port.empty()) port = text.substr(expected.size());
    CHECK(text.substr(expected.size()) == port);
  }
}

TEST_CASE("only rank 0 inherits the socket of the meeting") {
  const std::string script = "test -e /proc/self/fd/${REFLECT_MASTER_SOCKET:-none}";
  CHECK(launch(1, script) == 0);
  CHECK(launch(2, "test $RANK = 0 || ! (" + script + ")") == 0);
}

TEST_CASE("the exit code is that of the rank that failed, and the others are stopped") {
  CHECK(launch(3, "test $RANK = 1 && exit 7; exec sleep 1000") == 7);
  CHECK(launch(2, "test $RANK = 1 && kill -9 $$; exec sleep 1000") == 128 + SIGKILL);
}

TEST_CASE("nothing that a failed job started stays") {
  const TempFolder folder;
  CHECK(launch(2, "test $RANK = 1 && sleep 0.5 && exit 7; sleep 1000 & echo $! >" + folder.path() +
                      "/pid; wait") == 7);
  const std::string pid = read_file(folder / "pid");
  const std::string process = "/proc/" + pid.substr(0, pid.find('\n'));
  for (int i = 0; i < 200 && std::filesystem::exists(process); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  CHECK_FALSE(std::filesystem::exists(process));
}

TEST_CASE("a signal goes on to the ranks; that they end by it is no failure") {
  const TempFolder folder;
  watch_signals();
  std::thread sender([&] {
    for (const std::string name : {"0", "1"})
      while (!std::filesystem::exists(folder / name))
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    ::kill(::getpid(), SIGUSR1);
  });
  const int code = launch(2, "trap 'exit 138' USR1; touch " + folder.path() +
                                 "/$RANK; while true; do sleep 0.05; done");
  sender.join();
  CHECK(code == 128 + SIGUSR1);
}
