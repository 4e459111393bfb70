// Problems that a model in training answers on the way: as reflect-eval would, in every placement,
// and without a trace in what is trained.
#include <spdlog/fmt/fmt.h>

#include <map>

#include "e2e/processes.h"
#include "e2e/train_workplace.h"

namespace reflect {
namespace {

const std::string kDemoModel = REFLECT_SOURCE_DIR "/data/demo/model";

// The demo's model, which solves some of the problems, on rows that it has not seen.
struct DemoWorkplace : Workplace {
  std::string problems = folder / "problems.jsonl";

  DemoWorkplace() {
    const ToolResult made =
        run_tool("reflect-gen", {"--problems-only", "--teacher.kind", "procedural",
                                 "--procedural.family", "graph", "--procedural.operations", "2-5",
                                 "--count", "13", "--seed", "23", "--output", problems});
    INFO(made.err);
    REQUIRE(made.exit_code == 0);
  }

  Arguments training(const std::string& output, const Arguments& more = {}) const {
    Arguments all = arguments({}, output);
    all[1] = kDemoModel;
    all.insert(all.end(), {"--max_steps", "4", "--optimizer.lr", "1.5e-2"});
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  // With problems, after every second step.
  Arguments measured(const std::string& output, const Arguments& more = {}) const {
    Arguments all =
        training(output, {"--heldout.problems", problems, "--heldout.max_new_tokens", "64",
                          "--heldout.every", "2", "--heldout.max_batch_rows", "8"});
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  Json evaluated(const Arguments& arm) const {
    Arguments all = {"--input",   problems,
                     "--output",  folder / "results.json",
                     "--dtype",   "fp32",
                     "--threads", "1",
                     "--quiet",   "--sampling.max_new_tokens",
                     "64",        "--bootstrap-resamples",
                     "200"};
    all.insert(all.end(), arm.begin(), arm.end());
    const ToolResult result = run_tool("reflect-eval", all);
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    return Json::parse(read_file(folder / "results.json")).at("arms");
  }
};

ToolResult train_well(const Arguments& arguments) {
  const ToolResult result = run_tool("reflect-train", arguments);
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  return result;
}

std::string adapter_of(const std::string& run) {
  return read_file(run + "/adapter/adapter_model.safetensors");
}

// By step.
std::map<int, double> accuracies_of(const std::string& run) {
  std::map<int, double> found;
  for (const Json& line : metrics_of(run)) {
    if (!line.contains("heldout")) continue;
    CHECK(line["heldout"]["problems"] == 13);
    found[line["step"]] = line["heldout"]["accuracy"];
  }
  return found;
}

std::string event_bytes_of(const std::string& run) {
  std::string bytes;
  for (const auto& entry : fs::directory_iterator(run + "/tensorboard"))
    bytes += read_file(entry.path());
  return bytes;
}

}  // namespace

TEST_CASE("accuracy on held-out problems is that of reflect-eval, and measuring changes no bit") {
  const DemoWorkplace place;
  const std::string plain = place.folder / "plain";
  const ToolResult result = train_well(place.measured(place.run));
  train_well(place.training(plain));
  CHECK(adapter_of(place.run) == adapter_of(plain));
  const std::map<int, double> accuracies = accuracies_of(place.run);
  REQUIRE(accuracies.size() == 3);
  const Json arms = place.evaluated({"--model", kDemoModel, "--adapter", place.run + "/adapter"});
  CHECK(accuracies.at(0) == arms[0].at("accuracy"));
  CHECK(accuracies.at(4) == arms[1].at("accuracy"));
  CHECK(accuracies.at(0) > accuracies.at(4));  // the rows teach something else
  CHECK(accuracies.at(4) > 0);
  CHECK_THAT(result.err,
             Catch::Contains("13 problems held out, 0 rows of") &&
                 Catch::Contains(fmt::format("held out at step 4: accuracy {:.3f} of 13 problems",
                                             accuracies.at(4))));
  CHECK(event_bytes_of(place.run).find("heldout/accuracy") != std::string::npos);
}

TEST_CASE("with every weight in training the problems meet the weights of the moment") {
  const DemoWorkplace place;
  const std::string plain = place.folder / "plain", model = place.run + "/model";
  const Arguments full = {"--method", "full", "--lora.dropout", "0", "--optimizer.lr", "3e-3"};
  Arguments more = full;
  more.insert(more.end(), {"--heldout", place.rows});
  train_well(place.measured(place.run, more));
  train_well(place.training(plain, full));
  CHECK(read_file(model + "/model.safetensors") == read_file(plain + "/model/model.safetensors"));
  const std::map<int, double> accuracies = accuracies_of(place.run);
  REQUIRE(accuracies.size() == 3);
  CHECK(accuracies.at(4) == place.evaluated({"--model", model})[0].at("accuracy"));
  CHECK(accuracies.at(0) > accuracies.at(4));
  CHECK(metrics_of(place.run).back()["heldout"]["loss"] > 0);
}

TEST_CASE("processes share the problems out, wherever the base lies") {
  const DemoWorkplace place;
  train_well(place.measured(place.run));
  const std::map<int, double> alone = accuracies_of(place.run);
  const std::string plain = place.folder / "plain";
  train_well(place.training(plain, job_of(2)));
  for (const char* placement : {"replicate", "shard", "offload"}) {
    CAPTURE(placement);
    const std::string run = place.folder / placement;
    train_well(place.measured(run, job_of(2, {"--placement", placement})));
    CHECK(accuracies_of(run) == alone);
    CHECK(adapter_of(run) == adapter_of(plain));
  }
}

TEST_CASE("a base in few bits and in shares of groups answers as it does alone") {
  const DemoWorkplace place;
  const Arguments nf4 = {"--base.storage", "nf4", "--max_steps", "2"};
  train_well(place.measured(place.run, nf4));
  Arguments hybrid = job_of(4, {"--placement", "hybrid", "--hybrid.group", "2"});
  hybrid.insert(hybrid.end(), nf4.begin(), nf4.end());
  const std::string run = place.folder / "hybrid", plain = place.folder / "plain";
  train_well(place.measured(run, hybrid));
  train_well(place.training(plain, hybrid));
  CHECK(accuracies_of(run) == accuracies_of(place.run));
  CHECK(adapter_of(run) == adapter_of(plain));
}

TEST_CASE("a signal while problems are answered ends the job with a checkpoint to go on from") {
  const DemoWorkplace place;
  const std::string plain = place.folder / "plain";
  const Arguments job = job_of(2, {"--placement", "shard"});
  Arguments slow = job;
  slow.insert(slow.end(), {"--heldout.max_batch_rows", "1", "--heldout.max_new_tokens", "1500"});
  {
    Tool tool("reflect-train", place.measured(place.run, slow));
    while (!fs::exists(place.run + "/run.json"))  // the first thing after it are the answers
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    tool.send(SIGTERM);
    const ToolResult ended = tool.wait();
    INFO(ended.err);
    CHECK(ended.exit_code == 128 + SIGTERM);
    CHECK_THAT(ended.err, Catch::Contains("saved at step 1"));
  }
  CHECK(accuracies_of(place.run).empty());
  train_well(place.measured(place.run, job));
  CHECK(accuracies_of(place.run).contains(4));
  train_well(place.training(plain, job));
  CHECK(adapter_of(place.run) == adapter_of(plain));
}

TEST_CASE("problems that cannot be answered on the way are refused, in one line") {
  const DemoWorkplace place;
  const std::string open = place.folder / "open.jsonl";
  write_file_atomic(open, "{\"id\": \"open\", \"prompt\": \"What is love?\"}\n");
  struct Mistake {
    Arguments more;
    int exit_code;
    std::string text;
  };
  const std::vector<Mistake> mistakes = {
      {{"--heldout.problems", place.folder / "nothing.jsonl"}, 1, "nothing.jsonl"},
      {{"--heldout.problems", open}, 1, "no problem with a gold answer"},
      {{"--tensor_parallel", "2"}, 2, "use --placement shard"},
      {{"--heldout.max_problems", "-1"}, 2, "--heldout.max_problems -1 must not be negative"},
      {{"--heldout.max_new_tokens", "0"}, 2, "--heldout.max_new_tokens 0"},
  };
  for (const Mistake& mistake : mistakes) {
    const ToolResult result = run_tool("reflect-train", place.measured(place.run, mistake.more));
    CAPTURE(mistake.more, result.err);
    CHECK(result.exit_code == mistake.exit_code);
    CHECK_THAT(result.err, Catch::Contains(mistake.text));
    CHECK_FALSE(fs::exists(place.run));
  }
  const ToolResult useless =
      run_tool("reflect-train", place.training(place.run, {"--heldout.max_problems", "3"}));
  CHECK(useless.exit_code == 2);
  CHECK_THAT(useless.err, Catch::Contains("--heldout.max_* would do nothing"));
}

}  // namespace reflect
