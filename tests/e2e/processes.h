// The processes that a program started, seen from outside.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "e2e/run_tool.h"
#include "reflect/base/error.h"
#include "reflect/base/file.h"

namespace reflect {

// The processes whose parent is `parent`.
inline std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != name.npos) continue;
    std::string stat;
    try {
      stat = read_file(entry.path() / "stat");
    } catch (const Error&) {
      continue;  // it has ended
    }
    std::istringstream fields(stat.substr(stat.rfind(')') + 2));
    char state = 0;
    pid_t its_parent = 0;
    fields >> state >> its_parent;
    if (its_parent == parent && state != 'Z') found.push_back(std::stoi(name));
  }
  std::ranges::sort(found);
  return found;
}

// Whether none of `processes` is left, waiting for it.
inline bool all_gone(const std::vector<pid_t>& processes) {
  for (int i = 0; i < 500; ++i) {
    if (std::ranges::none_of(processes, [](pid_t pid) { return ::kill(pid, 0) == 0; })) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return false;
}

// Flags of a job of `ranks` processes on this machine, with others.
inline std::vector<std::string> job_of(int ranks, const std::vector<std::string>& more = {}) {
  std::vector<std::string> all = {"--launch.nproc", std::to_string(ranks), "--launch.timeout",
                                  "60"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

// Kills rank 1 of a job of two: all end, with its signal and its name. What the tool said.
inline ToolResult result_of_killed_rank(Tool& tool) {
  const std::vector<pid_t> processes = children_of(tool.pid());
  REQUIRE(processes.size() == 2);
  ::kill(processes[1], SIGKILL);
  const ToolResult result = tool.wait();
  INFO(result.err);
  CHECK(result.exit_code == 128 + SIGKILL);
  CHECK_THAT(result.err, Catch::Contains("rank 1 was ended by signal 9"));
  CHECK(all_gone(processes));
  return result;
}

}  // namespace reflect
