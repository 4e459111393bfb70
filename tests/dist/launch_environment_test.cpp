#include <catch2/catch.hpp>
#include <map>

#include "reflect/base/error.h"
#include "reflect/dist/launch.h"

using namespace reflect;

namespace {

LaunchEnvironment read(const std::map<std::string, std::string>& variables) {
  return launch_environment([&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

}  // namespace

TEST_CASE("no variables: a job of one process") {
  const LaunchEnvironment place = read({});
  CHECK(place.rank == 0);
  CHECK(place.world_size == 1);
  CHECK(place.on_one_machine());
}

TEST_CASE("torchrun's variables") {
  const LaunchEnvironment place = read({{"RANK", "11"},
                                        {"WORLD_SIZE", "16"},
                                        {"LOCAL_RANK", "3"},
                                        {"LOCAL_WORLD_SIZE", "8"},
                                        {"MASTER_ADDR", "node1"},
                                        {"MASTER_PORT", "1234"}});
  CHECK(place.rank == 11);
  CHECK(place.world_size == 16);
  CHECK(place.local_rank == 3);
  CHECK(place.local_world_size == 8);
  CHECK(place.master_address == "node1");
  CHECK(place.master_port == 1234);
  CHECK_FALSE(place.on_one_machine());
}

TEST_CASE("a SLURM step on two nodes") {
  const std::map<std::string, std::string> step = {{"SLURM_JOB_ID", "4711"},
                                                   {"SLURM_STEP_ID", "0"},
                                                   {"SLURM_PROCID", "5"},
                                                   {"SLURM_NTASKS", "8"},
                                                   {"SLURM_LOCALID", "1"},
                                                   {"SLURM_STEP_TASKS_PER_NODE", "4(x2)"},
                                                   {"SLURM_STEP_NODELIST", "gpu[07-08]"}};
  const LaunchEnvironment place = read(step);
  CHECK(place.rank == 5);
  CHECK(place.world_size == 8);
  CHECK(place.local_rank == 1);
  CHECK(place.local_world_size == 4);
  CHECK(place.master_address == "gpu07");
  CHECK(place.master_port >= 15000);
  CHECK(place.master_port < 32768);

  auto next_job = step;
  next_job["SLURM_JOB_ID"] = "4712";
  CHECK(read(next_job).master_port != place.master_port);
}

TEST_CASE("a SLURM batch script is one process, whatever the job has asked for") {
  const LaunchEnvironment place =
      read({{"SLURM_JOB_ID", "4711"}, {"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}});
  CHECK(place.world_size == 1);
}

TEST_CASE("torchrun inside SLURM counts, not SLURM") {
  CHECK(read({{"RANK", "1"},
              {"WORLD_SIZE", "2"},
              {"SLURM_STEP_ID", "0"},
              {"SLURM_PROCID", "0"},
              {"SLURM_NTASKS", "1"}})
            .rank == 1);
}

TEST_CASE("variables that make no sense are refused by name") {
  CHECK_THROWS_WITH(read({{"RANK", "1"}}), Catch::Contains("WORLD_SIZE"));
  CHECK_THROWS_WITH(read({{"RANK", "one"}, {"WORLD_SIZE", "2"}}),
                    Catch::Contains("RANK is \"one\""));
  CHECK_THROWS_WITH(read({{"RANK", "2"}, {"WORLD_SIZE", "2"}}),
                    Catch::Contains("rank 2 in a world of 2"));
}

TEST_CASE("the first host of a list of nodes") {
  CHECK(first_host("node1") == "node1");
  CHECK(first_host("node1,node2") == "node1");
  CHECK(first_host("gpu[07-09,12],big1") == "gpu07");
  CHECK(first_host("rack[3]-n,other") == "rack3-n");
  CHECK_THROWS_AS(first_host("gpu[07"), Error);
  CHECK_THROWS_AS(first_host(""), Error);
}
