// What happens between clone and exec of a sandboxed program. Another thread may have held any lock
// when the process was cloned, so everything here is system calls on memory that was there before.
#pragma once

#include <cstdint>

namespace reflect {

constexpr unsigned kSandboxUser = 1000;  // user and group inside

struct SandboxPlan {
  int go = -1;       // a byte comes when user and group are mapped
  int source = -1;   // becomes standard input
  int output = -1;   // becomes standard output and error
  int failure = -1;  // takes a SandboxFailure; closed by exec
  const char* tmpfs_options = nullptr;
  std::int64_t memory_bytes = 0, processes = 0, disk_bytes = 0, cpu_seconds = 0;
  bool drop_groups = false;
};

struct SandboxFailure {
  const char* step;  // the parent has the same text at the same place
  int error;
};

[[noreturn]] void run_sandbox_child(const SandboxPlan& plan);

}  // namespace reflect
