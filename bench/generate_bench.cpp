// Tokens per second of the decoding engine on chat prompts, without stop tokens; one line of JSON.
#include <ATen/Parallel.h>
#include <sys/resource.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "reflect/cli/app.h"
#include "reflect/data/record.h"
#include "reflect/generate/chat_model.h"
#include "reflect/generate/engine.h"

namespace reflect {
namespace {

struct BenchConfig {
  std::string model;
  std::string rows;
  std::int64_t batch = 1;
  std::int64_t new_tokens = 256;
  bool sample = false;
  std::int64_t lora_rank = 0;
  RuntimeConfig runtime;

  void visit(auto& v) {
    v("model", model, "Checkpoint folder.");
    v("rows", rows, "Rows whose prompts are answered, JSON Lines.");
    v("batch", batch, "Rows decoded together.");
    v("new", new_tokens, "New tokens per row.");
    v("sample", sample, "Temperature 0.7 and top-p 0.9 instead of greedy.");
    v("lora-rank", lora_rank, "Rank of a fresh adapter on all projections; 0: none.");
    runtime.visit(v);
  }
};

std::vector<GenerateRequest> requests_of(const BenchConfig& config, const ChatModel& model) {
  std::vector<GenerateRequest> requests;
  RecordReader reader(config.rows);
  while (static_cast<std::int64_t>(requests.size()) < config.batch) {
    const std::optional<Record> record = reader.next();
    if (!record) fail_usage("bench", "{} has fewer than {} rows", config.rows, config.batch);
    GenerateRequest request;
    request.prompt_ids = prompt_ids(model, {{"user", record->prompt()}});
    request.seed = static_cast<std::uint64_t>(config.runtime.seed) + requests.size();
    if (config.sample) {
      request.sampling.temperature = 0.7;
      request.sampling.top_p = 0.9;
    }
    requests.push_back(std::move(request));
  }
  return requests;
}

double seconds_for(const Engine& engine, std::vector<GenerateRequest> requests,
                   std::int64_t new_tokens) {
  for (GenerateRequest& request : requests) request.sampling.max_new_tokens = new_tokens;
  const auto start = std::chrono::steady_clock::now();
  engine.generate(requests);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

ExitCode bench(const BenchConfig& config) {
  const Runtime runtime = start_runtime(config.runtime);
  const BaseConfig base;
  const Placement placement;
  const ChatModel model = load_chat_model(config.model, "auto", runtime, base, placement);
  const std::vector<GenerateRequest> requests = requests_of(config, model);
  std::optional<Adapter> adapter;
  if (config.lora_rank > 0) {
    LoraConfig lora;
    lora.rank = config.lora_rank;
    adapter = Adapter::fresh(model.llama->config(), lora, 1);
  }
  const Engine engine(*model.llama, *model.tokenizer, {.max_batch_rows = config.batch},
                      adapter ? &*adapter : nullptr);
  seconds_for(engine, requests, 4);  // warm-up
  const double seconds = seconds_for(engine, requests, config.new_tokens);
  std::size_t prompt_tokens = 0;
  for (const GenerateRequest& request : requests) prompt_tokens += request.prompt_ids.size();
  const std::int64_t new_tokens = config.batch * config.new_tokens;
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  const nlohmann::ordered_json line = {{"peer", "reflect"},
                                       {"dtype", name_of_dtype(runtime.dtype)},
                                       {"batch", config.batch},
                                       {"threads", at::get_num_threads()},
                                       {"sampled", config.sample},
                                       {"lora_rank", config.lora_rank},
                                       {"prompt_tokens", prompt_tokens},
                                       {"new_tokens", new_tokens},
                                       {"seconds", seconds},
                                       {"tokens_per_s", static_cast<double>(new_tokens) / seconds},
                                       {"peak_rss_mib", usage.ru_maxrss / 1024}};
  fmt::print("{}\n", line.dump());
  return ExitCode::kDone;
}

}  // namespace
}  // namespace reflect

int main(int argc, char** argv) {
  const reflect::AppInfo info = {
      .name = "generate_bench",
      .summary = "Measures the decoding engine.",
      .examples = "generate_bench --model DIR --rows test.jsonl --batch 16"};
  return reflect::run_app(argc, argv, info, reflect::bench);
}
