// Runs a program that nobody trusts: no network, no files but the system's programs to read, limits
// on time, memory, processes, files and output. Linux on x86-64; user namespaces and seccomp.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace reflect {

struct SandboxLimits {
  double seconds = 10;            // from start to end; everything in the sandbox is killed then
  std::int64_t memory_mib = 512;  // address space of one process
  std::int64_t processes = 8;     // and threads, at once
  std::int64_t disk_mib = 16;     // all files together; they are gone afterwards
  std::int64_t files = 256;       // on that disk
  std::int64_t output_bytes = 1 << 20;  // standard output and error together
};

struct SandboxResult {
  enum class End {
    kExited,      // `code` is the exit code
    kSignaled,    // `code` is the signal
    kTimeout,     // out of time
    kTooVerbose,  // more than output_bytes; `output` holds the first of them
  };
  End end = End::kExited;
  int code = 0;
  std::string output;
  double seconds = 0;
};

// Runs Python's `source` (/usr/bin/python3 -I, standard library only) as an unprivileged user in an
// empty folder, with an empty standard input. Throws Error where the kernel does not permit the
// sandbox: then nothing was run.
SandboxResult run_python(std::string_view source, const SandboxLimits& limits);

}  // namespace reflect
