// Starts the ranks of a job on this machine: one program, once for each.
#pragma once

#include <string>
#include <vector>

#include "reflect/base/error.h"
#include "reflect/dist/launch.h"

namespace reflect {

// Whether this process is to start ranks instead of being one. Throws Error (usage) for nproc < 1.
bool is_launcher(const LaunchConfig& config);

// Starts `program` with `arguments` (the first is its name) as `nproc` ranks, told their place by
// torchrun's variables, and waits for them. Called as one of several processes (srun with a task a
// machine), it starts its share of a job of all machines together. SIGTERM, SIGINT and SIGUSR1 go
// on to the ranks (watch_signals must have been called). When one fails, the log says which and
// how, the others get at most five seconds to say what they noticed and are then killed; the result
// is the exit code of the one that failed. When the launcher is killed, so are they (see
// follow_launcher).
ExitCode launch_ranks(const LaunchConfig& config, const std::string& program,
                      const std::vector<std::string>& arguments);
// The same for this program itself.
ExitCode launch_ranks(const LaunchConfig& config, const std::vector<std::string>& arguments);

// Where a launcher started this process: to end when it ends, even by SIGKILL. Call it first of
// all.
void follow_launcher();

}  // namespace reflect
