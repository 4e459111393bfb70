// reflect-train on the small golden model: outputs, resuming after every kind of end, and what it
// says to mistakes.
#include "e2e/train_workplace.h"
#include "reflect/model/llama.h"

namespace reflect {

TEST_CASE("reflect-train writes an adapter and an account of the run") {
  const Workplace place;
  const ToolResult result = run_tool("reflect-train", place.arguments());
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  CHECK_THAT(result.err, Catch::Contains("whole base: ") && Catch::Contains(" GB/s"));
  CHECK(fs::exists(place.run + "/config.yaml"));
  const LlamaConfig config = read_llama_config(kModel);
  CHECK(read_adapter(place.run + "/adapter", config).config.rank == 16);

  const std::vector<Json> metrics = metrics_of(place.run);
  REQUIRE(metrics.size() == 10);
  for (std::size_t i = 0; i < metrics.size(); ++i) CHECK(metrics[i]["step"] == i + 1);
  CHECK(metrics.back()["loss"] < metrics.front()["loss"]);
  CHECK(metrics[0]["loss_by_span"].contains("reflection"));
  CHECK_FALSE(metrics[0]["loss_by_span"].contains("error"));
  for (const Json& line : metrics) {
    for (const char* name : {"lr", "grad_norm", "tokens_per_second", "peak_rss_mib", "mfu"}) {
      CAPTURE(name);
      CHECK(line.contains(name));
    }
    CHECK(line["mfu"] > 0);
    CHECK((line["seconds_left"] > 0) == (line != metrics.back()));
  }

  const Json record = Json::parse(read_file(place.run + "/run.json"));
  CHECK(record["finished"] == true);
  CHECK(record["rows"]["trained"] == 30);
  CHECK(record["system_prompt_hashes"]["none"] == 30);

  const ToolResult again = run_tool("reflect-train", place.arguments());
  CHECK(again.exit_code == 0);
  CHECK_THAT(again.err, Catch::Contains("finished already"));
}

TEST_CASE("a run that was killed or asked to stop ends with the bytes of an undisturbed one") {
  const Workplace place;
  const std::string undisturbed = place.folder / "undisturbed";
  const Arguments tables = {"--lora.targets", "q_proj,down_proj,lm_head", "--lora.trainable_tokens",
                            "<|eot_id|>,17"};
  REQUIRE(run_tool("reflect-train", place.arguments(tables, undisturbed)).exit_code == 0);
  const int signal = GENERATE(SIGKILL, SIGTERM, SIGUSR1);
  CAPTURE(signal);
  Arguments arguments = place.arguments({"--save_every", "3"});
  arguments.insert(arguments.end(), tables.begin(), tables.end());
  Tool tool("reflect-train", arguments);
  wait_for_steps(place.run, 5);
  tool.send(signal);
  const ToolResult stopped = tool.wait();
  if (stopped.exit_code != 0) CHECK(stopped.exit_code == 128 + signal);

  const ToolResult resumed = run_tool("reflect-train", arguments);
  INFO(resumed.err);
  REQUIRE(resumed.exit_code == 0);
  for (const char* file : {"/adapter/adapter_model.safetensors", "/adapter/adapter_config.json"})
    CHECK(read_file(place.run + file) == read_file(undisturbed + file));
  CHECK(metrics_of(place.run).size() == 10);
}

TEST_CASE("a plan needs no more than config.json and says what would fit") {
  const std::string shapes = REFLECT_SOURCE_DIR "/tests/golden/plan/";
  const Arguments node = {"--plan",   "--plan.gpus", "8",     "--plan.gpu",
                          "h100-80g", "--placement", "shard", "--max_seq_length",
                          "4096",     "--model"};
  Arguments large = node, small = node;
  large.push_back(shapes + "405b");
  small.push_back(shapes + "70b");
  const ToolResult fits = run_tool("reflect-train", small);
  INFO(fits.err);
  CHECK(fits.exit_code == 0);
  CHECK_THAT(fits.out, Catch::Contains("1 node x 8 h100-80g") && Catch::Contains("peak") &&
                           Catch::Contains("tokens/s"));
  const ToolResult refused = run_tool("reflect-train", large);
  CHECK(refused.exit_code == 2);
  CHECK_THAT(refused.err, Catch::Contains("smallest change that fits: --base.storage nf4"));
  CHECK_THAT(refused.out, Catch::Contains("peak"));
  large.push_back("--plan.json");
  CHECK(Json::parse(run_tool("reflect-train", large).out)["fits"] == false);
  CHECK_THAT(fits.out, !Catch::Contains("faster"));  // 112.7 GiB without recomputation
  const ToolResult coded =
      run_tool("reflect-train", {"--plan", "--plan.gpu", "h200-141g", "--base.storage", "nf4",
                                 "--max_seq_length", "4096", "--model", shapes + "70b"});
  CHECK_THAT(coded.out, Catch::Contains("faster, and fits: --recompute none (132.4 GiB a rank"));
  const ToolResult here = run_tool("reflect-train", {"--plan", "--model", kModel});
  INFO(here.err);
  CHECK(here.exit_code == 0);
  CHECK_THAT(here.out, Catch::Contains("1 process of this machine's CPU"));
}

TEST_CASE("the configurations for large models are accepted and fit the machines that they name") {
  const std::string shapes = REFLECT_SOURCE_DIR "/tests/golden/plan/";
  const std::string configs = REFLECT_SOURCE_DIR "/configs/llama31_";
  for (const auto& [size, gpus, nodes] :
       {std::tuple("8b", "1", "1"), std::tuple("70b", "8", "2")}) {
    const ToolResult result =
        run_tool("reflect-train",
                 {"--config", configs + size + "_lora.yaml", "--model", shapes + size, "--plan",
                  "--plan.gpu", "h100-80g", "--plan.gpus", gpus, "--plan.nodes", nodes});
    INFO(result.err);
    CHECK(result.exit_code == 0);
    CHECK_THAT(result.out, Catch::Contains("packs of 4096 tokens, 16 a step"));
  }
}

TEST_CASE("held-out rows are measured on the way, and the best checkpoints stay") {
  const Workplace place;
  const std::string heldout = place.folder / "heldout.jsonl", plain = place.folder / "plain";
  write_file_atomic(heldout, trace_rows(40));
  const ToolResult result =
      run_tool("reflect-train",
               place.arguments({"--heldout", heldout, "--heldout.every", "4", "--keep_best", "1"}));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  CHECK_THAT(result.err, Catch::Contains("30 of 40 held-out rows are trained on") &&
                             Catch::Contains("held out at step 8: loss"));
  std::vector<int> measured;
  for (const Json& line : metrics_of(place.run))
    if (line.contains("heldout")) measured.push_back(line["step"]);
  CHECK(measured == std::vector<int>{0, 4, 8, 10});
  CHECK(Json::parse(read_file(place.run + "/run.json"))["heldout_rows"]["measured"] == 40);
  const auto kept = fs::directory_iterator(place.run + "/checkpoints");
  CHECK(std::distance(kept, fs::directory_iterator()) > 0);
  REQUIRE(run_tool("reflect-train", place.arguments({}, plain)).exit_code == 0);
  CHECK(read_file(place.run + "/adapter/adapter_model.safetensors") ==
        read_file(plain + "/adapter/adapter_model.safetensors"));
}

TEST_CASE("files are mixed and sorted as asked, and a killed run keeps that order") {
  const Workplace place;
  const std::string second = place.folder / "second.jsonl", whole = place.folder / "whole";
  write_file_atomic(second, trace_rows(45));
  const Arguments order = {"--train",      second,       "--mix",           "1,3",
                           "--order",      "curriculum", "--curriculum_by", "tokens",
                           "--save_every", "2"};
  const ToolResult result = run_tool("reflect-train", place.arguments(order, whole));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  CHECK_THAT(result.err, Catch::Contains("mix: 56 rows an epoch of file 2"));
  Tool tool("reflect-train", place.arguments(order));
  wait_for_steps(place.run, 5);
  tool.send(SIGKILL);
  const bool killed = tool.wait().exit_code == 128 + SIGKILL;
  const ToolResult resumed = run_tool("reflect-train", place.arguments(order));
  REQUIRE(resumed.exit_code == 0);
  if (killed) CHECK_THAT(resumed.err, Catch::Contains("resumed at step"));
  CHECK(read_file(place.run + "/adapter/adapter_model.safetensors") ==
        read_file(whole + "/adapter/adapter_model.safetensors"));
  const std::vector<Json> steps = metrics_of(place.run), undisturbed = metrics_of(whole);
  REQUIRE(steps.size() == undisturbed.size());
  for (std::size_t i = 0; i < steps.size(); ++i) {
    CHECK(steps[i]["loss"] == undisturbed[i]["loss"]);
    CHECK(steps[i]["trained_tokens"] == undisturbed[i]["trained_tokens"]);
  }
}

TEST_CASE("a run that is killed again and again while it saves ends with the same bytes") {
  const Workplace place;
  const std::string undisturbed = place.folder / "undisturbed";
  const Arguments length = {"--max_steps", "30"};
  REQUIRE(run_tool("reflect-train", place.arguments(length, undisturbed)).exit_code == 0);
  const Arguments arguments =
      place.arguments({"--max_steps", "30", "--save_every", "0", "--checkpoint.seconds", "0.001"});
  for (const std::ptrdiff_t steps : {2, 8, 14}) {
    Tool tool("reflect-train", arguments);
    wait_for_steps(place.run, steps);
    tool.send(SIGKILL);
    tool.wait();
  }
  CHECK(fs::exists(place.run + "/checkpoints"));
  const ToolResult last = run_tool("reflect-train", arguments);
  INFO(last.err);
  REQUIRE(last.exit_code == 0);
  CHECK_THAT(last.err, Catch::Contains("resumed at step"));
  CHECK(read_file(place.run + "/adapter/adapter_model.safetensors") ==
        read_file(undisturbed + "/adapter/adapter_model.safetensors"));
}

TEST_CASE("full fine-tuning writes a checkpoint that loads, in the type asked for") {
  const Workplace place;
  const ToolResult result =
      run_tool("reflect-train",
               place.arguments({"--method", "full", "--save_dtype", "bf16", "--lora.dropout", "0",
                                "--max_steps", "2", "--init", "random"}));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  const std::string folder = place.run + "/model";
  CHECK(read_llama_config(folder).torch_dtype == "bfloat16");
  CHECK(Checkpoint(folder).view("model.norm.weight").scalar_type() == at::kBFloat16);
  CHECK_NOTHROW(load_llama(folder, Runtime{}));
  CHECK(read_file(folder + "/tokenizer.json") == read_file(kModel + "/tokenizer.json"));
}

TEST_CASE("reflect-train tunes an adapter on a base in few bits") {
  const std::string storage = GENERATE("nf4", "fp8");
  CAPTURE(storage);
  const Workplace place;
  const std::string plain = place.folder / "plain", shards = place.folder / "shards";
  const ToolResult result = run_tool(
      "reflect-train", place.arguments({"--base.storage", storage, "--lora.dora", "true"}));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  CHECK(read_adapter(place.run + "/adapter", read_llama_config(kModel)).config.dora);
  REQUIRE(run_tool("reflect-train", place.arguments({"--lora.dora", "true"}, plain)).exit_code ==
          0);
  const std::vector<Json> few = metrics_of(place.run), all = metrics_of(plain);
  CHECK(few.front()["loss"] != all.front()["loss"]);
  CHECK(few.front()["loss"].get<double>() ==
        Approx(all.front()["loss"].get<double>()).epsilon(0.3));
  // By two processes that hold half of the codes each, and keep them for a third.
  const std::string codes = place.folder / "codes", later = place.folder / "later";
  const Arguments kept = {"--base.storage", storage, "--lora.dora", "true", "--base.cache", codes};
  Arguments both = kept;
  both.insert(both.end(), {"--placement", "shard", "--launch.nproc", "2"});
  const ToolResult sharded = run_tool("reflect-train", place.arguments(both, shards));
  INFO(sharded.err);
  REQUIRE(sharded.exit_code == 0);
  const std::vector<Json> together = metrics_of(shards);
  REQUIRE(together.size() == few.size());
  for (std::size_t i = 0; i < few.size(); ++i)
    CHECK(together[i]["loss"].get<double>() == Approx(few[i]["loss"].get<double>()).epsilon(1e-6));
  const ToolResult third = run_tool("reflect-train", place.arguments(kept, later));
  INFO(third.err);
  REQUIRE(third.exit_code == 0);
  CHECK_THAT(third.err, Catch::Contains(codes) && Catch::Contains("0 of them made now"));
  const std::string adapter = "/adapter/adapter_model.safetensors";
  CHECK(read_file(later + adapter) == read_file(place.run + adapter));
}

TEST_CASE("a changed setting or changed rows do not resume a run") {
  const Workplace place;
  REQUIRE(run_tool("reflect-train", place.arguments({"--max_steps", "2"})).exit_code == 0);
  const ToolResult other =
      run_tool("reflect-train", place.arguments({"--max_steps", "2", "--optimizer.lr", "0.5"}));
  CHECK(other.exit_code == 2);
  CHECK_THAT(other.err, Catch::Contains("optimizer.lr") && Catch::Contains("0.5"));
  write_file_atomic(place.rows, trace_rows(29));
  const ToolResult rows = run_tool("reflect-train", place.arguments({"--max_steps", "2"}));
  CHECK(rows.exit_code == 2);
  CHECK_THAT(rows.err, Catch::Contains("hash of rows"));
}

TEST_CASE("a finished run whose adapter is lost makes it again, with the same bytes") {
  const Workplace place;
  const std::string adapter = place.run + "/adapter/adapter_model.safetensors";
  REQUIRE(run_tool("reflect-train", place.arguments({"--max_steps", "2"})).exit_code == 0);
  const std::string before = read_file(adapter);
  fs::remove_all(place.run + "/adapter");
  const ToolResult again = run_tool("reflect-train", place.arguments({"--max_steps", "2"}));
  CHECK(again.exit_code == 0);
  CHECK_THAT(again.err, Catch::Contains("is missing and is made again"));
  CHECK(read_file(adapter) == before);
}

TEST_CASE("a folder of something else, or a damaged account of a run, is left as it is") {
  const Workplace place;
  fs::create_directories(place.run + "/adapter");
  write_file_atomic(place.run + "/adapter/mine.txt", "keep");
  const ToolResult foreign = run_tool("reflect-train", place.arguments());
  CHECK(foreign.exit_code == 2);
  CHECK_THAT(foreign.err, Catch::Contains("no run of this tool"));
  CHECK(read_file(place.run + "/adapter/mine.txt") == "keep");
  write_file_atomic(place.run + "/run.json", "precious");
  const ToolResult damaged = run_tool("reflect-train", place.arguments());
  CHECK(damaged.exit_code == 1);
  CHECK_THAT(damaged.err, Catch::Contains("run.json is damaged or not of this tool"));
}

TEST_CASE("a damaged checkpoint is named, and without it the one before is taken") {
  const Workplace place;
  const Arguments arguments = place.arguments({"--save_every", "2", "--max_steps", "6"});
  REQUIRE(run_tool("reflect-train", arguments).exit_code == 0);
  const std::string adapter = read_file(place.run + "/adapter/adapter_model.safetensors");
  fs::remove_all(place.run + "/adapter");  // so that the run is not finished
  const std::string newest = place.run + "/checkpoints/step-4";
  REQUIRE(fs::exists(newest));
  fs::resize_file(newest + "/optimizer.safetensors", 1000);
  const ToolResult damaged = run_tool("reflect-train", arguments);
  CHECK(damaged.exit_code == 1);
  CHECK_THAT(damaged.err, Catch::Contains("step-4 is damaged") && Catch::Contains("delete it"));
  fs::remove_all(newest);
  const ToolResult again = run_tool("reflect-train", arguments);
  CHECK(again.exit_code == 0);
  CHECK_THAT(again.err, Catch::Contains("resumed at step 2"));
  CHECK(read_file(place.run + "/adapter/adapter_model.safetensors") == adapter);
}

TEST_CASE("a setting that would be accepted and ignored is refused") {
  const Workplace place;
  const std::vector<std::pair<Arguments, std::string>> cases = {
      {{"--hybrid.group", "2"}, "--hybrid.group would do nothing: it is for --placement hybrid"},
      {{"--loss.dpo.beta", "0.5"}, "--loss.dpo.* would do nothing"},
      {{"--save_dtype", "bf16"}, "--save_dtype would do nothing"},
      {{"--plan.gpu", "h100-80g"}, "--plan.* would do nothing"},
      {{"--plan.nodes", "2"}, "--plan.* would do nothing"},
      {{"--plan.json"}, "--plan.json would do nothing"},
      {{"--base.cache", "codes"}, "add --base.storage"},
      {{"--keep_best", "2"}, "needs --heldout"},
      {{"--curriculum_by", "tokens"}, "need each other"},
      {{"--schedule.type", "constant", "--schedule.min_lr_ratio", "0.1"},
       "--schedule.min_lr_ratio would do nothing"}};
  for (const auto& [flags, why] : cases) {
    const ToolResult result = run_tool("reflect-train", place.arguments(flags));
    CAPTURE(flags, result.err);
    CHECK(result.exit_code == 2);
    CHECK_THAT(result.err, Catch::Contains(why));
  }
  const ToolResult full = run_tool(
      "reflect-train", place.arguments({"--method", "full", "--lora.rank", "4", "--explain", "1"}));
  CHECK(full.exit_code == 0);
  CHECK_THAT(full.err, Catch::Contains("lora.* does nothing with --method full"));
}

TEST_CASE("explain shows rows token by token and trains nothing") {
  const Workplace place;
  const ToolResult result = run_tool("reflect-train", place.arguments({"--explain", "2"}));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  CHECK_THAT(result.out, Catch::Contains("=== pack 0") && Catch::Contains("assistant  error") &&
                             Catch::Contains("assistant  reflection"));
  std::size_t rows = 0;
  for (std::size_t at = result.out.find("--- row"); at != std::string::npos;
       at = result.out.find("--- row", at + 1))
    ++rows;
  CHECK(rows == 2);
  CHECK_FALSE(fs::exists(place.run));
}

TEST_CASE("reflect-train refuses what it cannot do, in one line") {
  const Workplace place;
  struct Mistake {
    Arguments more;
    int exit_code;
    std::string text;
  };
  const std::vector<Mistake> mistakes = {
      {{"--model", place.folder / "nothing"}, 1, "nothing"},
      {{"--train", place.folder / "nothing.jsonl"}, 1, "nothing.jsonl"},
      {{"--template", "nonsense"}, 2, "known"},
      {{"--method", "qlora"}, 2, "qlora"},
      {{"--init", "random"}, 2, "--method full"},
      {{"--base.storage", "nf4", "--method", "full"}, 2, "needs --method lora"},
      {{"--base.cache", "codes"}, 2, "add --base.storage"},
      {{"--lora.plus_ratio", "0"}, 2, "lora.plus_ratio"},
      {{"--adapter", kModel + "/adapter"}, 2, "lora.*"},
      {{"--lora.targets", "z_proj"}, 2, "z_proj"},
      {{"--max_seq_length", "100000"}, 2, "window"},
      {{"--packing.capacity", "16"}, 2, "capacity"},
      {{"--optimizer.learning_rate", "1"}, 2, "unknown flag"},
      {{"--optimizer.lr", "-1"}, 2, "optimizer.lr"},
      {{"--lora.alpha", "0"}, 2, "lora.alpha"},
      {{"--explain", "-1"}, 2, "explain"},
      {{"--keep_best", "1"}, 2, "needs --heldout"},
      {{"--mix", "1,2"}, 2, "2 shares for 1 files"},
      {{"--weight_by", "ifd", "--order", "input"}, 2, "--weight_by need shuffle"},
      {{"--weight_by", "ifd"}, 1, "30 no_weight"},
      {{"--order", "curriculum"}, 2, "need each other"},
  };
  for (const Mistake& mistake : mistakes) {
    const ToolResult result = run_tool("reflect-train", place.arguments(mistake.more));
    CAPTURE(mistake.more, result.err);
    CHECK(result.exit_code == mistake.exit_code);
    CHECK_THAT(result.err, Catch::Contains(mistake.text));
  }
}

}  // namespace reflect
