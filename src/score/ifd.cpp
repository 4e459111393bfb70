#include "reflect/score/ifd.h"

#include <cmath>

#include "reflect/base/error.h"

namespace reflect {

namespace {

// What stands before a bare text: BOS, or EOS for a tokenizer that has no BOS.
std::int32_t first_id(const Tokenizer& tokenizer) {
  if (tokenizer.bos_id()) return *tokenizer.bos_id();
  if (tokenizer.eos_id()) return *tokenizer.eos_id();
  fail("ifd", "the tokenizer has neither BOS nor EOS, so a bare text has no context to follow");
}

struct Turn {
  Pass pass;
  std::vector<Token> tokens;  // of the target: bytes in the last message
};

// The last message, the assistant's, scored after all before it.
Turn last_turn(std::string_view name, const std::vector<Message>& messages,
               const ChatTemplate& chat, const Tokenizer& tokenizer) {
  const int last = static_cast<int>(messages.size()) - 1;
  Turn turn;
  turn.pass.name = name;
  for (const ChatToken& token : encode_chat(chat.render(messages), tokenizer)) {
    // Markup has no bytes of the message; the end-of-turn token is special.
    const bool in_target =
        token.message == last && token.trained && token.end > 0 && !tokenizer.is_special(token.id);
    if (in_target) {
      turn.pass.target_ids.push_back(token.id);
      turn.tokens.push_back({token.id, static_cast<std::uint32_t>(token.begin),
                             static_cast<std::uint32_t>(token.end)});
    } else if (turn.tokens.empty()) {
      turn.pass.context_ids.push_back(token.id);
    }
  }
  std::vector<std::int32_t>& context = turn.pass.context_ids;
  const std::optional<std::int32_t> bos = tokenizer.bos_id();
  if (bos && (context.empty() || context.front() != *bos)) context.insert(context.begin(), *bos);
  return turn;
}

Pass bare(std::string_view name, const Pass& conditional, const Tokenizer& tokenizer) {
  return {.context_ids = {first_id(tokenizer)}, .target_ids = conditional.target_ids, .name = name};
}

// The ratios of one target, or that the numbers do not allow them.
bool set_ratios(double conditional, double direct, std::optional<double>& ppl,
                std::optional<double>& loss) {
  const double ppl_ratio = std::exp(conditional - direct), loss_ratio = conditional / direct;
  if (!std::isfinite(ppl_ratio) || !std::isfinite(loss_ratio)) return false;
  ppl = ppl_ratio;
  loss = loss_ratio;
  return true;
}

}  // namespace

std::string guess_instruction_query(std::string_view response) {
  std::string query =
      "Below is the response to an instruction, please guess the corresponding instruction for the "
      "given response.\n";
  return query.append(response).append("\nGenerate the instruction for the above response.");
}

RowPasses fixed_passes(const Record& record, const ChatTemplate& chat, const Tokenizer& tokenizer,
                       bool reverse) {
  std::vector<Message> messages = record.messages;
  for (Message& message : messages) message.trained = false;
  const std::string response = instruction_fields(record).output;
  messages.push_back({"assistant", response});
  Turn answer = last_turn(pass_name::kConditional, messages, chat, tokenizer);
  RowPasses row;
  row.response_tokens = std::move(answer.tokens);
  row.passes.push_back(std::move(answer.pass));
  row.passes.push_back(bare(pass_name::kDirect, row.passes.front(), tokenizer));
  if (!reverse || row.response_tokens.empty()) return row;
  const Turn guess =
      last_turn(pass_name::kReverse,
                {{"user", guess_instruction_query(response)}, {"assistant", record.prompt()}}, chat,
                tokenizer);
  row.passes.push_back(guess.pass);
  row.passes.push_back(bare(pass_name::kPrompt, guess.pass, tokenizer));
  return row;
}

IfdScores ifd_scores(const std::vector<Pass>& passes, const std::vector<PassScore>& scores) {
  IfdScores result;
  const auto fails = [&](ScoreStatus status, std::string_view pass) {
    if (result.status != ScoreStatus::kOk) return;
    result.status = status;
    result.failed_pass = pass;
  };
  for (std::size_t i = 0; i < passes.size(); ++i) {
    const std::string_view name = passes[i].name;
    if (scores[i].status != ScoreStatus::kOk) {
      fails(scores[i].status, name);
      continue;
    }
    const double nll = scores[i].mean_nll();
    const auto tokens = static_cast<std::int64_t>(passes[i].target_ids.size());
    if (name == pass_name::kConditional) {
      result.nll_conditional = nll;
      result.response_tokens = tokens;
    } else if (name == pass_name::kDirect) {
      result.nll_direct = nll;
    } else if (name == pass_name::kReverse) {
      result.nll_reverse = nll;
      result.prompt_tokens = tokens;
    } else if (name == pass_name::kPrompt) {
      result.nll_prompt = nll;
    }
  }
  if (result.nll_conditional && result.nll_direct &&
      !set_ratios(*result.nll_conditional, *result.nll_direct, result.ifd_ppl, result.ifd_loss))
    fails(ScoreStatus::kNonFinite, pass_name::kDirect);
  if (result.nll_reverse && result.nll_prompt &&
      !set_ratios(*result.nll_reverse, *result.nll_prompt, result.rifd_ppl, result.rifd_loss))
    fails(ScoreStatus::kNonFinite, pass_name::kPrompt);
  return result;
}

}  // namespace reflect
