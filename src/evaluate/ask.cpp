#include "evaluate/ask.h"

#include <cstdio>
#include <optional>

#include "evaluate/answering.h"
#include "evaluate/arms.h"
#include "reflect/base/log.h"
#include "reflect/data/trace.h"
#include "reflect/generate/chat_model.h"

namespace reflect {
namespace {

Completion complete(const EvaluateConfig& config, const ArmConfig& arm) {
  const Runtime runtime = start_runtime(config.runtime);
  const ChatModel model = load_chat_model(arm.model, config.template_name, runtime, config.base);
  std::optional<Adapter> adapter;
  if (!arm.adapter.empty())
    adapter = read_adapter(arm.adapter, model.llama->config(), model.llama->runtime().device);
  const Engine engine(*model.llama, *model.tokenizer, config.engine, adapter ? &*adapter : nullptr);
  const GenerateRequest request =
      request_of(model, arm, messages_of({{"user", config.ask}}, arm, config), config);
  return engine.generate({request}).front();
}

std::string shown_text(const EvaluateConfig& config, const Completion& completion) {
  if (!config.hide_thinking) return completion.text;
  std::string output = parse_trace(completion.text).output;
  if (output.empty()) {
    fail("ask",
         "the answer has no <output> (it ended by \"{}\"); run without --hide-thinking to "
         "see it",
         name_of(completion.finish));
  }
  return output;
}

}  // namespace

ExitCode answer_question(const EvaluateConfig& config) {
  std::vector<ArmConfig> arms = arms_of(config);
  std::erase_if(arms, [](const ArmConfig& arm) { return arm.draft; });
  const Completion completion = complete(config, arms.back());
  if (completion.finish == FinishReason::kPromptTooLong) {
    fail("ask", "the question does not fit into the model's window; shorten it");
  }
  fmt::print("{}\n", shown_text(config, completion));
  if (completion.finish != FinishReason::kLength) return ExitCode::kDone;
  log_warn("cut off after {} tokens; raise --sampling.max_new_tokens", completion.ids.size());
  return ExitCode::kIncomplete;
}

}  // namespace reflect
