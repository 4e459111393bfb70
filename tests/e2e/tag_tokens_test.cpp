// Tags as reserved tokens: trained as such, and known to every tool that gets the adapter or what
// it was merged into.
#include "reflect/data/tag_tokens.h"
#include "e2e/score_workplace.h"
#include "e2e/train_workplace.h"
#include "reflect/model/weights.h"

namespace reflect {
namespace {

// A checkpoint of random weights whose tokenizer has six reserved tokens, 320 to 325.
void write_model(const std::string& folder) {
  make_folder(folder);
  auto config = Json::parse(read_file(kModel + "/config.json"));
  config["vocab_size"] = 326;
  config["initializer_range"] = 0.2;
  write_file_atomic(folder + "/config.json", config.dump());
  auto tokenizer = Json::parse(read_file(kModel + "/tokenizer.json"));
  for (int i = 0; i < 6; ++i) {
    Json token = tokenizer["added_tokens"].front();
    token["id"] = 320 + i;
    token["content"] = "<|reserved_special_token_" + std::to_string(i) + "|>";
    tokenizer["added_tokens"].push_back(token);
  }
  write_file_atomic(folder + "/tokenizer.json", tokenizer.dump());
  fs::copy_file(kModel + "/tokenizer_config.json", folder + "/tokenizer_config.json");
  ResidentWeights weights(read_llama_config(folder), Runtime{}, 3);
  write_safetensors(folder + "/model.safetensors", weights.named());
}

}  // namespace

TEST_CASE("an adapter trained with tags as reserved tokens scores, merges and answers with them") {
  const Workplace place;
  const std::string model = place.folder / "model", merged = place.folder / "merged";
  const std::string adapter = place.run + "/adapter";
  write_model(model);
  const Arguments tags = {"--model",        model,           "--tag_tokens",   "reserved",
                          "--lora.targets", "q_proj,v_proj", "--optimizer.lr", "1e-2"};
  Arguments explain = tags;
  explain.insert(explain.end(), {"--train", place.rows, "--explain", "1"});
  const ToolResult shown = run_tool("reflect-train", explain);
  INFO(shown.err);
  CHECK_THAT(shown.out, Catch::Contains("    320 assistant  format") &&
                            Catch::Contains("\"<thinking>\"") && Catch::Contains("    325 "));

  Arguments train = place.arguments(tags);
  train.erase(train.begin(), train.begin() + 2);  // the model that is named there
  const ToolResult result = run_tool("reflect-train", train);
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  const auto config = Json::parse(read_file(adapter + "/adapter_config.json"));
  const Json ids = {320, 321, 322, 323, 324, 325};
  CHECK(config["trainable_token_indices"] == Json({{"embed_tokens", ids}, {"lm_head", ids}}));
  CHECK(Json::parse(read_file(adapter + "/tag_tokens.json"))["</output>"] ==
        "<|reserved_special_token_5|>");
  CHECK(metrics_of(place.run).back()["loss"] < metrics_of(place.run).front()["loss"]);

  const ToolResult merging = run_tool(
      "reflect-merge", {"--model", model, "--adapter", adapter, "--output", merged, "--quiet"});
  INFO(merging.err);
  REQUIRE(merging.exit_code == 0);
  CHECK(fs::exists(merged + "/tag_tokens.json"));
  const ScoreRun by_adapter(fence_rows(4)), by_merged(fence_rows(4)), by_base(fence_rows(4));
  REQUIRE(by_adapter({"--model", model, "--adapter", adapter}).exit_code == 0);
  REQUIRE(by_merged({"--model", merged}).exit_code == 0);
  REQUIRE(by_base({"--model", model}).exit_code == 0);
  const auto ours = by_adapter.rows(), of_merged = by_merged.rows(), of_base = by_base.rows();
  for (std::size_t i = 0; i < ours.size(); ++i) {
    CHECK(largest_difference(ours[i].scores, of_merged[i].scores) < 1e-3);
    CHECK(largest_difference(ours[i].scores, of_base[i].scores) > 1e-2);
  }
  const auto answer = [](const Arguments& of) {
    Arguments all = {
        "--ask", "What is 1 + 2?", "--quiet", "--dtype", "fp32", "--sampling.max_new_tokens", "30"};
    all.insert(all.end(), of.begin(), of.end());
    return run_tool("reflect-eval", all);
  };
  const ToolResult asked = answer({"--model", model, "--adapter", adapter});
  INFO(asked.err);
  CHECK(asked.exit_code == 3);  // cut off
  CHECK_THAT(asked.out, Catch::Contains("<thinking>"));
  CHECK(answer({"--model", merged}).out == asked.out);
}

}  // namespace reflect
