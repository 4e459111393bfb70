#include "evaluate/ask.h"

#include <cstdio>
#include <optional>

#include "evaluate/answering.h"
#include "evaluate/arms.h"
#include "reflect/base/log.h"
#include "reflect/data/tag_tokens.h"
#include "reflect/data/trace.h"
#include "reflect/generate/chat_model.h"
#include "reflect/generate/team.h"

namespace reflect {
namespace {

// Of the first rank; the others help where they hold the model together.
std::optional<Completion> complete(const EvaluateConfig& config, const ArmConfig& arm) {
  Runtime runtime = start_runtime(config.runtime);
  const bool together = config.placement.in_shares();
  if (!together && launch_environment().rank > 0) return std::nullopt;
  Placement placement;
  placement.config = config.placement;
  if (together) placement = open_placement(config.placement, config.launch, config.runtime);
  if (placement.device) runtime.device = *placement.device;
  ChatModel model =
      load_chat_model(arm.model, config.template_name, runtime, config.base, placement);
  std::optional<Adapter> adapter;
  if (!arm.adapter.empty()) {
    adapter = read_adapter(arm.adapter, model.llama->config(), model.llama->runtime().device);
    model.tokenizer = load_tagged_tokenizer(arm.model, arm.adapter);
  }
  const Engine engine(*model.llama, *model.tokenizer, config.engine, adapter ? &*adapter : nullptr);
  const GenerateRequest request =
      request_of(model, arm, messages_of({{"user", config.ask}}, arm, config), config);
  Team team(placement.group, {&engine});
  if (!placement.first()) {
    team.serve();
    return std::nullopt;
  }
  Completion completion = team.generate({request}).front();
  team.dismiss();
  return completion;
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
  const std::optional<Completion> answer = complete(config, arms.back());
  if (!answer) return ExitCode::kDone;
  const Completion& completion = *answer;
  if (completion.finish == FinishReason::kPromptTooLong) {
    fail("ask", "the question does not fit into the model's window; shorten it");
  }
  fmt::print("{}\n", shown_text(config, completion));
  if (completion.finish != FinishReason::kLength) return ExitCode::kDone;
  log_warn("cut off after {} tokens; raise --sampling.max_new_tokens", completion.ids.size());
  return ExitCode::kIncomplete;
}

}  // namespace reflect
