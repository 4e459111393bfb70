// IFD (arXiv 2308.12032) and reversed IFD (arXiv 2402.10110): the passes of a row, and the numbers
// that come from them. Both are higher where the target is harder; 1 means that the condition does
// not help.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "reflect/data/chat.h"
#include "reflect/data/record.h"
#include "reflect/score/pass.h"

namespace reflect {

// Names of a row's passes.
namespace pass_name {
inline constexpr std::string_view kConditional = "conditional";  // response after its prompt
inline constexpr std::string_view kDirect = "direct";            // response after BOS
inline constexpr std::string_view kReverse = "reverse";          // prompt after its response
inline constexpr std::string_view kPrompt = "prompt";            // prompt after BOS
}  // namespace pass_name

// The passes of one row, conditional and direct first. `response_tokens` are the conditional pass's
// target with the bytes of the response that each stands for.
struct RowPasses {
  std::vector<Pass> passes;
  std::vector<Token> response_tokens;
};

// The passes of the fixed mode: the response is tokenized once, inside its rendered conversation,
// and the same ids stand in both conditions. BOS starts every context, exactly once, for every
// tokenizer that has one; a tokenizer without has EOS before the bare texts. `reverse` adds the
// passes of r-IFD (not for an empty response): the last user message after a query that shows the
// response, rendered without system text. End-of-turn tokens are not scored. A GSM8K row without a
// response has its `answer` field for one.
RowPasses fixed_passes(const Record& record, const ChatTemplate& chat, const Tokenizer& tokenizer,
                       bool reverse);

// The query that shows a response and asks for its instruction (arXiv 2402.10110).
std::string guess_instruction_query(std::string_view response);

// The numbers of one row. A number is absent where a pass that it needs has failed or was not run.
struct IfdScores {
  ScoreStatus status = ScoreStatus::kOk;      // of the first pass that failed
  std::string_view failed_pass;               // its name; empty when ok
  std::optional<double> ifd_ppl, ifd_loss;    // ppl(y|x) / ppl(y), L(y|x) / L(y)
  std::optional<double> rifd_ppl, rifd_loss;  // ppl(x|y') / ppl(x), L(x|y') / L(x)
  std::optional<double> nll_conditional, nll_direct, nll_reverse, nll_prompt;  // L, nats a token
  std::int64_t response_tokens = 0;  // scored, of the conditional pass
  std::int64_t prompt_tokens = 0;    // scored, of the reverse pass
};

// `passes` and `scores` of one row, side by side.
IfdScores ifd_scores(const std::vector<Pass>& passes, const std::vector<PassScore>& scores);

}  // namespace reflect
