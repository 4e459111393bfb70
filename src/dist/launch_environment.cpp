#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "launch_variables.h"
#include "reflect/base/error.h"
#include "reflect/dist/launch.h"

namespace reflect {
namespace {

constexpr std::string_view kLaunchOp = "launch";

class Variables {
 public:
  explicit Variables(const EnvironmentLookup& lookup) : lookup_(lookup) {}

  bool has(const char* name) const { return lookup_(name) != nullptr; }

  // The first of `names` that is set.
  std::optional<std::string> text(std::initializer_list<const char*> names) const {
    for (const char* name : names)
      if (const char* value = lookup_(name)) return value;
    return std::nullopt;
  }

  std::int64_t whole_number(const char* name) const {
    const auto value = text({name});
    if (!value) fail_usage(kLaunchOp, "environment variable {} is missing beside the others", name);
    std::int64_t result = 0;
    const auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), result);
    if (error != std::errc() || end != value->data() + value->size() || result < 0)
      fail_usage(kLaunchOp, "environment variable {} is \"{}\"; a whole number expected", name,
                 *value);
    return result;
  }

  int number(const char* name) const { return static_cast<int>(whole_number(name)); }
  int number(const char* name, int otherwise) const { return has(name) ? number(name) : otherwise; }

 private:
  const EnvironmentLookup& lookup_;
};

LaunchEnvironment torchrun_environment(const Variables& variables) {
  LaunchEnvironment place;
  place.rank = variables.number("RANK");
  place.world_size = variables.number("WORLD_SIZE");
  place.local_rank = variables.number("LOCAL_RANK", place.rank);
  place.local_world_size = variables.number("LOCAL_WORLD_SIZE", 0);
  place.master_address = variables.text({"MASTER_ADDR"}).value_or(place.master_address);
  place.master_port = variables.number("MASTER_PORT", place.master_port);
  place.master_socket = variables.number(launch_variables::kMasterSocket, -1);
  return place;
}

// "4" and "4(x2)" are 4; where machines differ ("4,2"): 0.
int tasks_per_node(std::string_view text) {
  if (std::ranges::find(text, ',') != text.end()) return 0;
  int tasks = 0;
  std::from_chars(text.data(), text.data() + text.size(), tasks);
  return tasks;
}

// Ports from 15000 to 31383: below those that the system gives to outgoing connections.
int port_of_job(const Variables& variables) {
  std::int64_t number = 0;  // of job and step; several steps of a job may share a machine
  if (variables.has("SLURM_JOB_ID")) number += 7 * variables.whole_number("SLURM_JOB_ID");
  if (variables.has("SLURM_STEP_ID")) number += variables.whole_number("SLURM_STEP_ID");
  return static_cast<int>(15000 + number % 16384);
}

LaunchEnvironment slurm_environment(const Variables& variables) {
  LaunchEnvironment place;
  place.rank = variables.number("SLURM_PROCID");
  place.world_size = variables.has("SLURM_STEP_NUM_TASKS")
                         ? variables.number("SLURM_STEP_NUM_TASKS")
                         : variables.number("SLURM_NTASKS");
  place.local_rank = variables.number("SLURM_LOCALID", place.rank);
  place.local_world_size = tasks_per_node(
      variables.text({"SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE"}).value_or(""));
  if (const auto address = variables.text({"MASTER_ADDR"})) {
    place.master_address = *address;
  } else if (!place.on_one_machine()) {
    const auto nodes =
        variables.text({"SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST"});
    if (!nodes) fail_usage(kLaunchOp, "SLURM_STEP_NODELIST is missing; set MASTER_ADDR");
    place.master_address = first_host(*nodes);
  }
  place.master_port =
      variables.has("MASTER_PORT") ? variables.number("MASTER_PORT") : port_of_job(variables);
  return place;
}

}  // namespace

std::string first_host(const std::string& node_list) {
  const std::size_t end = node_list.find_first_of(",[");
  std::string host = node_list.substr(0, end);
  if (end != node_list.npos && node_list[end] == '[') {
    const std::size_t stop = node_list.find_first_of(",-]", end);
    if (stop == node_list.npos)
      fail_usage(kLaunchOp, "the list of nodes \"{}\" has no closing bracket", node_list);
    host += node_list.substr(end + 1, stop - end - 1);
    const std::size_t close = node_list.find(']', end), next = node_list.find(',', close);
    if (close != node_list.npos) host += node_list.substr(close + 1, next - close - 1);
  }
  if (host.empty()) fail_usage(kLaunchOp, "the list of nodes \"{}\" names no node", node_list);
  return host;
}

LaunchEnvironment launch_environment(const EnvironmentLookup& lookup) {
  const Variables variables(lookup);
  LaunchEnvironment place;
  if (variables.has("RANK") || variables.has("WORLD_SIZE")) {
    place = torchrun_environment(variables);
  } else if (variables.has("SLURM_PROCID") &&
             (variables.has("SLURM_STEP_ID") || variables.has("SLURM_STEP_NUM_TASKS"))) {
    // A batch script has SLURM_PROCID and SLURM_NTASKS as well, but is a process of its own: what
    // srun starts is told by its step.
    place = slurm_environment(variables);
  }
  if (place.rank >= place.world_size)
    fail_usage(kLaunchOp, "rank {} in a world of {} processes; ranks count from 0", place.rank,
               place.world_size);
  return place;
}

LaunchEnvironment launch_environment() {
  return launch_environment([](const char* name) -> const char* { return std::getenv(name); });
}

}  // namespace reflect
