// Where the tools let a base lie, with the processes that a user would start.
#include <algorithm>
#include <map>

#include <spdlog/fmt/fmt.h>

#include "e2e/processes.h"
#include "e2e/score_workplace.h"
#include "e2e/train_workplace.h"
#include "reflect/model/lora.h"
#include "reflect/model/weights.h"

namespace reflect {
namespace {

constexpr std::int64_t kLayers = 80;
constexpr std::size_t kFiles = 6;

// A checkpoint with the depth, the heads and the names of Llama 3.1 70B, but thin: bf16, in several
// files under an index, with the golden model's tokenizer.
void write_thin_70b(const std::string& folder) {
  fs::create_directories(folder);
  auto json = Json::parse(read_file(kModel + "/config.json"));
  json.update({{"num_hidden_layers", kLayers},
               {"num_attention_heads", 64},
               {"num_key_value_heads", 8},
               {"head_dim", 4},
               {"hidden_size", 32},
               {"intermediate_size", 64},
               {"torch_dtype", "bfloat16"}});
  write_file_atomic(folder + "/config.json", json.dump());
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "generation_config.json"})
    fs::copy_file(kModel + "/" + name, folder + "/" + name);
  ResidentWeights weights(read_llama_config(folder), {at::kBFloat16, at::kCPU}, 1);
  std::vector<NamedTensor> all = weights.named();
  const std::size_t each = all.size() / kFiles + 1;
  Json index;
  for (std::size_t file = 0; file < kFiles; ++file) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", file + 1, kFiles);
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(file * each);
    const std::size_t end = std::min(all.size(), (file + 1) * each);
    const std::vector<NamedTensor> part(begin, all.begin() + static_cast<std::ptrdiff_t>(end));
    for (const NamedTensor& tensor : part) index["weight_map"][tensor.name] = name;
    write_safetensors(folder + "/" + name, part);
  }
  write_file_atomic(folder + "/model.safetensors.index.json", index.dump());
}

// Small batches, so that processes have different numbers of them.
Arguments scoring(const Arguments& more) {
  Arguments all = {"--max-batch-tokens", "128", "--threads", "1"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

Arguments placed(int ranks, const std::string& placement, const Arguments& more) {
  Arguments all = scoring(more);
  const Arguments where = ranks == 1 ? Arguments{} : job_of(ranks, {});
  all.insert(all.end(), where.begin(), where.end());
  all.insert(all.end(), {"--placement", placement});
  return all;
}

ToolResult score_well(const ScoreRun& run, const Arguments& more) {
  const ToolResult result = run(more);
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  return result;
}

void check_same_results(const ScoreRun& run, const ScoreRun& expected) {
  for (const char* name : {"scored.jsonl", "kept.jsonl", "random_control.jsonl"})
    CHECK(read_file(run.folder / name) == read_file(expected.folder / name));
  Json receipt = run.receipt(), receipt_of_one = expected.receipt();
  receipt.erase("random_control");  // names the folder
  receipt_of_one.erase("random_control");
  CHECK(receipt == receipt_of_one);
}

}  // namespace

TEST_CASE("a checkpoint of a 70B model's shape loads, trains two steps and saves at world 4") {
  const Workplace place;
  const std::string model = place.folder / "thin", whole = place.folder / "whole";
  write_thin_70b(model);
  const std::string shares = place.folder / "shares";
  for (const std::string& output : {whole, shares}) {
    const Arguments more = {"--model",
                            model,
                            "--max_steps",
                            "2",
                            "--gradient_accumulation_steps",
                            "4",
                            "--packing.capacity",
                            "192",
                            "--placement",
                            output == whole ? "replicate" : "shard"};
    const ToolResult result = run_tool("reflect-train", place.arguments(job_of(4, more), output));
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    if (output == shares)
      CHECK_THAT(result.err, Catch::Contains("base in shares over 4 processes:") &&
                                 Catch::Contains("GB/s together"));
    CHECK(metrics_of(output).size() == 2);
  }
  const std::string adapter = "/adapter/adapter_model.safetensors";
  CHECK(read_file(shares + adapter) == read_file(whole + adapter));
  const Adapter saved = read_adapter(whole + "/adapter", read_llama_config(model));
  CHECK(saved.blocks.size() == kLayers);
}

TEST_CASE("rows are scored to the same bytes wherever the student lies, by one process or two") {
  const std::string rows = fence_rows(13) + "oops\n";
  using Place = std::pair<int, std::string>;
  const std::map<std::string, std::vector<Place>> cases = {
      {"dtype", {{1, "shard"}, {1, "offload"}, {2, "replicate"}, {2, "shard"}, {2, "offload"}}},
      {"fp8", {{1, "offload"}, {2, "shard"}}},
      {"nf4", {{2, "hybrid"}, {2, "offload"}}}};
  for (const auto& [storage, places] : cases) {
    const ScoreRun whole(rows);
    score_well(whole, scoring({"--base.storage", storage}));
    for (const auto& [ranks, placement] : places) {
      CAPTURE(storage, ranks, placement);
      const ScoreRun run(rows);
      const ToolResult result =
          score_well(run, placed(ranks, placement, {"--base.storage", storage}));
      check_same_results(run, whole);
      CHECK_THAT(result.out, Catch::Contains("13 rows scored, 1 input lines rejected"));
      CHECK(result.out.find("rows scored") == result.out.rfind("rows scored"));
      if (ranks == 2 && placement == "shard")
        CHECK_THAT(result.err, Catch::Contains("base in shares over 2 processes"));
      CHECK_FALSE(fs::exists(run.journal()));
    }
  }
}

TEST_CASE(
    "a prefilter and a policy that looks at the model choose among the rows of all processes") {
  const std::string rows = fence_rows(24);
  const Arguments more = {"--prefilter.model",   kGoldenModel, "--prefilter.keep",         "0.7",
                          "--prefilter.dtype",   "fp32",       "--prefilter.max-ifd",      "0",
                          "--selection.max-ifd", "0",          "--selection.max-rifd",     "0",
                          "--selection.policy",  "diverse",    "--selection.top-fraction", "0.25"};
  const ScoreRun whole(rows), shared(rows);
  score_well(whole, scoring(more));
  score_well(shared, placed(2, "shard", more));
  CHECK_FALSE(whole.kept().empty());
  check_same_results(shared, whole);
  // Again, and with other settings of the selection: no row is scored anew.
  const ToolResult again = score_well(shared, placed(2, "shard", more));
  CHECK_THAT(again.err, Catch::Contains("holds the scores already"));
  check_same_results(shared, whole);
}

TEST_CASE("one row is explained by processes that share the student as by one") {
  const ScoreRun run(fence_rows(3));
  const ToolResult alone = score_well(run, scoring({"--explain", "row-2"}));
  for (const std::string placement : {"replicate", "shard"})
    CHECK(score_well(run, placed(2, placement, {"--explain", "row-2"})).out == alone.out);
}

namespace {

// Rows that one process has scored, and two that are under way with the same.
struct ScoringJob {
  explicit ScoringJob(const std::string& placement)
      : tool("reflect-score", run.arguments(placed(2, placement, {}))) {
    while (size_of(run.journal()) < 2000) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  const std::string rows = fence_rows(150);
  const ScoreRun whole{rows}, run{rows};
  const ToolResult alone = score_well(whole, scoring({}));  // before the others start
  Tool tool;
};

}  // namespace

TEST_CASE("a killed process ends the scoring of all, and one process goes on to the same bytes") {
  const std::string placement = GENERATE("shard", "offload");
  CAPTURE(placement);
  ScoringJob job(placement);
  const ToolResult result = result_of_killed_rank(job.tool);
  INFO(result.err);
  // In the middle of a pass rank 0 notices before the launcher ends it; between passes it need not.
  if (result.err.find("reflect-score[rank 0]: [dist]") != std::string::npos)
    CHECK_THAT(result.err, Catch::Contains("rank 1 gives no sign of life"));
  const ToolResult resumed = score_well(job.run, scoring({}));
  CHECK_THAT(resumed.err, Catch::Contains("resuming after"));
  check_same_results(job.run, job.whole);
}

TEST_CASE("a signal to one of the processes that score ends all at a batch's end") {
  const std::string placement = GENERATE("shard", "replicate");
  CAPTURE(placement);
  ScoringJob job(placement);
  ::kill(children_of(job.tool.pid()).at(1), SIGTERM);
  const ToolResult result = job.tool.wait();
  INFO(result.err);
  CHECK(result.exit_code == 128 + SIGTERM);
  CHECK(result.err.find("died") == std::string::npos);
  score_well(job.run, placed(2, placement, {}));
  check_same_results(job.run, job.whole);
}

TEST_CASE(
    "processes that score together need groups that divide them and an input that is a file") {
  const ScoreRun run(fence_rows(3));
  Arguments arguments = run.arguments(placed(2, "shard", {}));
  arguments[3] = "-";
  const ToolResult piped = run_tool("reflect-score", arguments, fence_rows(3));
  CHECK(piped.exit_code == 2);
  CHECK_THAT(piped.err, Catch::Contains("--input that is a file"));
  const ToolResult odd = run(placed(2, "hybrid", {"--hybrid.group", "3"}));
  CHECK(odd.exit_code == 2);
  CHECK_THAT(odd.err, Catch::Contains("--hybrid.group 3 must divide the 2 processes"));
}

TEST_CASE("problems answered by processes that share a model have the same answers") {
  const TempFolder folder;
  std::string problems;
  for (int i = 0; i < 5; ++i)
    problems += Json{{"id", std::to_string(i)},
                     {"prompt", fmt::format("What is {} + 2?", i)},
                     {"answer", std::to_string(i + 2)}}
                    .dump() +
                "\n";
  write_file_atomic(folder / "problems.jsonl", problems);
  const auto answer = [&](const std::string& name, const Arguments& more) {
    Arguments all = {"--model",
                     kModel,
                     "--input",
                     folder / "problems.jsonl",
                     "--draft",
                     "--dtype",
                     "fp32",
                     "--quiet",
                     "--output",
                     folder / (name + ".json"),
                     "--threads",
                     "1",
                     "--sampling.max_new_tokens",
                     "16",
                     "--bootstrap-resamples",
                     "200",
                     "--engine.max_batch_rows",
                     "2"};
    all.insert(all.end(), more.begin(), more.end());
    const ToolResult result = run_tool("reflect-eval", all);
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    CHECK(result.out.find("accuracy") == result.out.rfind("accuracy"));
    return read_file(folder / (name + ".rows.jsonl"));
  };
  const std::string alone = answer("alone", {});
  CHECK(answer("offload", {"--placement", "offload"}) == alone);
  const std::string whole = answer("whole", job_of(2, {}));
  const Arguments shard = job_of(2, {"--placement", "shard"});
  CHECK(answer("shard", shard) == whole);
  CHECK(answer("nf4", job_of(2, {"--placement", "shard", "--base.storage", "nf4"})) ==
        answer("nf4-alone", job_of(2, {"--base.storage", "nf4"})));
  std::istringstream a(whole), b(alone);
  std::size_t rows = 0;
  for (std::string left, right; std::getline(a, left) && std::getline(b, right); ++rows)
    CHECK(largest_difference(Json::parse(left), Json::parse(right)) < 1e-4);
  CHECK(rows == 10);
  // An answer that is lost is all that is made again.
  fs::resize_file(folder / "shard.rows.jsonl", whole.rfind('\n', whole.size() - 2) + 1);
  CHECK(answer("shard", shard) == whole);
}

TEST_CASE("one question is answered once by processes that share a model") {
  const auto ask = [](const Arguments& more) {
    Arguments all = {"--model",
                     kModel,
                     "--ask",
                     "What is 1 + 1?",
                     "--dtype",
                     "fp32",
                     "--threads",
                     "1",
                     "--sampling.max_new_tokens",
                     "8"};
    all.insert(all.end(), more.begin(), more.end());
    return run_tool("reflect-eval", all);
  };
  const ToolResult alone = ask({});
  for (const std::string placement : {"replicate", "shard", "offload"}) {
    CAPTURE(placement);
    const ToolResult shared = ask(job_of(2, {"--placement", placement}));
    INFO(shared.err);
    CHECK(shared.out == alone.out);
    CHECK(shared.exit_code == alone.exit_code);
  }
}

}  // namespace reflect
