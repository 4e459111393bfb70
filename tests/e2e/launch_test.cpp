// reflect-train as several processes: the same run, whatever becomes of them.
#include <signal.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/max.h>

#include <memory>

#include "e2e/processes.h"
#include "e2e/train_workplace.h"
#include "reflect/base/error.h"
#include "reflect/model/safetensors.h"

namespace reflect {
namespace {

void require_same_losses(const std::string& run, const std::string& other) {
  const std::vector<Json> a = metrics_of(run), b = metrics_of(other);
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    CAPTURE(i);
    CHECK(a[i]["loss"].get<double>() == Approx(b[i]["loss"].get<double>()).epsilon(1e-6));
    CHECK(a[i]["trained_tokens"] == b[i]["trained_tokens"]);
  }
}

void require_same_adapters(const std::string& run, const std::string& other) {
  const SafetensorsFile a(run + "/adapter/adapter_model.safetensors");
  const SafetensorsFile b(other + "/adapter/adapter_model.safetensors");
  for (const std::string& name : b.names())
    CHECK((a.view(name) - b.view(name)).abs().max().item<double>() < 1e-5);
}

}  // namespace

TEST_CASE("reflect-train as two processes gives the losses and the adapter of one") {
  const Workplace place;
  const std::string alone = place.folder / "alone";
  REQUIRE(run_tool("reflect-train", place.arguments({}, alone)).exit_code == 0);
  const std::string placement = GENERATE("replicate", "shard", "offload");
  CAPTURE(placement);
  const ToolResult result =
      run_tool("reflect-train", place.arguments(job_of(2, {"--placement", placement})));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  require_same_losses(place.run, alone);
  require_same_adapters(place.run, alone);
  // One process speaks.
  CHECK(result.err.find("wrote") == result.err.rfind("wrote"));
  CHECK((result.err.find("base in shares over 2 processes") != result.err.npos) ==
        (placement == "shard"));
  // The other keeps a file.
  const std::string kept = read_file(place.run + "/logs/rank-1.log");
  CHECK_THAT(kept, Catch::Contains("30 trained on") && Catch::Contains("step 1: loss") &&
                       Catch::Contains("step 10: loss"));
  CHECK_FALSE(fs::exists(place.run + "/logs/rank-0.log"));

  const ToolResult again = run_tool("reflect-train", place.arguments(job_of(2)));
  CHECK(again.exit_code == 0);
  CHECK_THAT(again.err, Catch::Contains("finished already"));
}

TEST_CASE("processes that compute packs together give the losses and the adapter of one") {
  const Workplace place;
  const std::string alone = place.folder / "alone";
  REQUIRE(run_tool("reflect-train", place.arguments({}, alone)).exit_code == 0);
  const int ranks = GENERATE(2, 4);
  CAPTURE(ranks);
  const ToolResult result =
      run_tool("reflect-train", place.arguments(job_of(ranks, {"--tensor_parallel", "2"})));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  require_same_losses(place.run, alone);
  require_same_adapters(place.run, alone);
  CHECK_THAT(result.err, Catch::Contains("each projection is cut over 2 processes"));
}

TEST_CASE("killed processes that compute packs together go on in other groups, or without") {
  const Workplace place;
  const Arguments rest = {"--save_every",
                          "2",
                          "--max_steps",
                          "40",
                          "--lora.targets",
                          "q_proj,down_proj,lm_head",
                          "--lora.dora",
                          "true",
                          "--lora.trainable_tokens",
                          "<|eot_id|>,17"};
  const auto job = [&](int ranks, const char* slices) {
    Arguments all = job_of(ranks, {"--tensor_parallel", slices});
    all.insert(all.end(), rest.begin(), rest.end());
    return place.arguments(all);
  };
  Tool first("reflect-train", job(2, "2"));
  wait_for_steps(place.run, 5);
  result_of_killed_rank(first);
  Tool second("reflect-train", job(4, "2"));
  wait_for_steps(place.run, 15);
  second.send(SIGTERM);
  CHECK(second.wait().exit_code == 128 + SIGTERM);
  const ToolResult resumed = run_tool("reflect-train", job(2, "1"));
  INFO(resumed.err);
  REQUIRE(resumed.exit_code == 0);
  CHECK_THAT(resumed.err, Catch::Contains("resumed at step"));
  const std::string alone = place.folder / "alone";
  REQUIRE(run_tool("reflect-train", place.arguments(rest, alone)).exit_code == 0);
  require_same_losses(place.run, alone);
  require_same_adapters(place.run, alone);
}

TEST_CASE("a base that cannot be cut over processes is refused with a remedy") {
  const Workplace place;
  const auto refused = [&](const Arguments& arguments, const std::string& why) {
    const ToolResult result = run_tool("reflect-train", place.arguments(arguments));
    INFO(result.err);
    CHECK(result.exit_code == 2);
    CHECK_THAT(result.err, Catch::Contains(why));
  };
  const Arguments two = {"--tensor_parallel", "2"};
  refused(two, "must divide the processes of each machine (1)");
  refused(job_of(3, two), "must divide the processes of each machine (3)");
  refused(job_of(4, {"--tensor_parallel", "4"}),
          "6 query heads (num_attention_heads) cannot be cut over 4 processes");
  refused(job_of(2, {"--tensor_parallel", "2", "--method", "full"}), "it needs --method lora");
  refused(job_of(2, {"--tensor_parallel", "2", "--placement", "shard"}),
          "it needs --placement replicate");
  refused(job_of(2, {"--tensor_parallel", "2", "--base.storage", "nf4"}),
          "o_proj [48, 96] into slices of 48 weights a row, which are not whole blocks of NF4");
  refused({"--tensor_parallel", "0"}, "must be at least 1");
  refused({"--tensor_parallel", "2", "--plan", "--plan.gpu", "h100-80g", "--plan.gpus", "3"},
          "must divide the 3 processes of a node");
  // Rank 0 of two machines with one process each.
  const std::vector<std::pair<const char*, const char*>> variables = {
      {"RANK", "0"}, {"WORLD_SIZE", "2"}, {"LOCAL_RANK", "0"}, {"LOCAL_WORLD_SIZE", "1"}};
  for (const auto& [name, value] : variables) ::setenv(name, value, 1);
  refused(two, "must divide the processes of each machine (1)");
  for (const auto& [name, value] : variables) ::unsetenv(name);
}

TEST_CASE("a killed rank ends the job, is named, and leaves no process behind") {
  const std::string placement = GENERATE("replicate", "shard");
  CAPTURE(placement);
  const Workplace place;
  Tool tool("reflect-train", place.arguments(job_of(2, {"--save_every", "2", "--max_steps", "40",
                                                        "--placement", placement})));
  wait_for_steps(place.run, 5);
  result_of_killed_rank(tool);

  // The same command, by one process, goes on with the same data.
  const std::string alone = place.folder / "alone";
  const Arguments rest = {"--save_every", "2", "--max_steps", "40"};
  const ToolResult resumed = run_tool("reflect-train", place.arguments(rest));
  REQUIRE(resumed.exit_code == 0);
  CHECK_THAT(resumed.err, Catch::Contains("resumed at step"));
  REQUIRE(run_tool("reflect-train", place.arguments(rest, alone)).exit_code == 0);
  require_same_losses(place.run, alone);
}

TEST_CASE("SIGTERM or SIGUSR1 to the job, or to one rank, saves on all together") {
  const bool to_one_rank = GENERATE(false, true);
  const int signal = GENERATE(SIGTERM, SIGUSR1);
  CAPTURE(to_one_rank, signal);
  const Workplace place;
  const Arguments arguments =
      place.arguments(job_of(2, {"--save_every", "0", "--max_steps", "200"}));
  Tool tool("reflect-train", arguments);
  wait_for_steps(place.run, 3);
  const std::vector<pid_t> processes = children_of(tool.pid());
  REQUIRE(processes.size() == 2);
  if (to_one_rank) {
    ::kill(processes[1], signal);
  } else {
    tool.send(signal);
  }
  const ToolResult stopped = tool.wait();
  INFO(stopped.err);
  CHECK(stopped.exit_code == 128 + signal);
  CHECK_THAT(stopped.err, Catch::Contains("saved at step"));
  CHECK(all_gone(processes));
  const std::size_t steps = metrics_of(place.run).size();
  CHECK(fs::exists(place.run + "/checkpoints/step-" + std::to_string(steps) + "/state.json"));
}

TEST_CASE("when the launcher is killed no rank stays") {
  const Workplace place;
  Tool tool("reflect-train", place.arguments(job_of(2, {"--max_steps", "1000"})));
  wait_for_steps(place.run, 2);
  const std::vector<pid_t> processes = children_of(tool.pid());
  REQUIRE(processes.size() == 2);
  tool.send(SIGKILL);
  tool.wait();
  CHECK(all_gone(processes));
}

TEST_CASE("a base in shares is refused where it cannot be") {
  const Workplace place;
  const ToolResult full =
      run_tool("reflect-train", place.arguments({"--placement", "shard", "--method", "full"}));
  INFO(full.err);
  CHECK(full.exit_code == 2);
  CHECK_THAT(full.err, Catch::Contains("--placement other than replicate is for a frozen base; it "
                                       "needs --method lora"));
  const ToolResult unknown = run_tool("reflect-train", place.arguments({"--placement", "split"}));
  CHECK(unknown.exit_code == 2);
  CHECK_THAT(unknown.err, Catch::Contains("shard"));
}

TEST_CASE("ranks with different settings do not train together") {
  const Workplace place;
  const auto start = [&](const std::string& rank, const std::string& rate) {
    ::setenv("RANK", rank.c_str(), 1);
    ::setenv("WORLD_SIZE", "2", 1);
    ::setenv("MASTER_PORT", "23457", 1);
    auto tool = std::make_unique<Tool>(
        "reflect-train", place.arguments({"--optimizer.lr", rate, "--launch.timeout", "60"}));
    for (const char* name : {"RANK", "WORLD_SIZE", "MASTER_PORT"}) ::unsetenv(name);
    return tool;
  };
  const auto first = start("0", "1e-3"), second = start("1", "2e-3");
  const ToolResult a = first->wait(), b = second->wait();
  CHECK(a.exit_code == 1);
  CHECK(b.exit_code == 1);
  CHECK_THAT(a.err, Catch::Contains("[rank 0]") &&
                        Catch::Contains("optimizer.lr of rank 1 is 0.002, of rank 0 0.001"));
}

}  // namespace reflect
