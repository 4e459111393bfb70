#include "score/explain.h"

#include <algorithm>
#include <cmath>

#include "reflect/base/error.h"
#include "reflect/data/record.h"

namespace reflect {

namespace {

constexpr std::size_t kContextShown = 12;  // tokens

// Text as a JSON string: line ends and quotes are visible, ill-formed bytes are replaced.
std::string quoted(const std::string& text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::string explain_pass(const Pass& pass, const PassScore& score, const Tokenizer& tokenizer) {
  const std::vector<std::int32_t>& context = pass.context_ids;
  const auto shown = static_cast<std::ptrdiff_t>(std::min(context.size(), kContextShown));
  const std::vector<std::int32_t> tail(context.end() - shown, context.end());
  std::string text = fmt::format(
      "\npass {}: {} tokens of context, {} scored; status {}\n  after {}{}\n", pass.name,
      context.size(), pass.target_ids.size(), name_of(score.status),
      context.size() > kContextShown ? "... " : "", quoted(decode(tokenizer, tail, true)));
  if (score.status != ScoreStatus::kOk) return text;
  for (std::size_t i = 0; i < pass.target_ids.size(); ++i) {
    const double nll = -score.log_probs[i];
    const auto bar = static_cast<std::size_t>(std::clamp(std::lround(2 * nll), 0L, 30L));
    text += fmt::format("  {:8.4f}  {:>7}  {}  {}\n", nll, pass.target_ids[i],
                        quoted(std::string(tokenizer.bytes_of(pass.target_ids[i]))),
                        std::string(bar, '#'));
  }
  return text + fmt::format("  mean {:.6f}, perplexity {:.4f}\n", score.mean_nll(),
                            std::exp(score.mean_nll()));
}

}  // namespace reflect
