// Which process of a job this one is, and the settings of starting several.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace reflect {

struct LaunchConfig {
  std::int64_t nproc = 1;
  std::int64_t timeout = 600;
  void visit(auto& v) {
    v("nproc", nproc,
      "Processes to start on this machine; 1: only this one (torchrun or srun may start others).");
    v("timeout", timeout, "Seconds that processes wait for one that does not come or answer.");
  }
};

// A process's place among those of its job.
struct LaunchEnvironment {
  int rank = 0;
  int world_size = 1;
  int local_rank = 0;                        // among the processes of this machine
  int local_world_size = 1;                  // 0: machines have different numbers of them
  std::string master_address = "127.0.0.1";  // of the machine of rank 0
  int master_port = 29500;
  int master_socket = -1;  // rank 0: a listening socket that it inherited, else -1

  bool on_one_machine() const { return local_world_size == world_size; }
};

// The value of an environment variable, or null.
using EnvironmentLookup = std::function<const char*(const char*)>;

// Reads torchrun's variables (RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR,
// MASTER_PORT), else those of a SLURM job step (SLURM_PROCID, SLURM_NTASKS, SLURM_LOCALID, the list
// of nodes; rank 0 is on the first node, the port follows from the job's number). With neither: a
// job of one process. Throws Error (usage) where variables are missing or contradict each other.
LaunchEnvironment launch_environment(const EnvironmentLookup& lookup);
LaunchEnvironment launch_environment();  // of this process

// The first host of a SLURM list of nodes: "gpu[07-09,12],big1" -> "gpu07".
std::string first_host(const std::string& node_list);

}  // namespace reflect
