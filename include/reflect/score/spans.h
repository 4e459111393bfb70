// What a row's scores say about its spans: how hard each kind of text is for the student, and
// whether a reflection helped the correction that follows it.
#pragma once

#include <optional>
#include <vector>

#include "reflect/score/ifd.h"

namespace reflect {

// Mean NLL over the tokens that begin in spans of one type.
struct SpanNll {
  SpanType type;
  double nll;
  std::int64_t tokens;
};

// The types that have tokens, in the order of SpanType. `log_probs` belong to `tokens`.
std::vector<SpanNll> span_nlls(const std::vector<Span>& spans, const std::vector<Token>& tokens,
                               const std::vector<float>& log_probs);

// The pass that scores a round's correction without its reflection. The correction's ids are the
// same as in the conditional pass; the reflection's tokens, with its tags, are left out.
struct GainPass {
  int round;
  Pass without;
  std::size_t correction_begin;  // index of the correction's first token in the response's tokens
  std::vector<bool> novel;       // per correction token: its id does not occur in the reflection
};

inline constexpr std::string_view kWithoutReflection = "without_reflection";

// One per round that has both a reflection and a later correction with tokens. `conditional` is the
// row's conditional pass, `tokens` its target's bytes in `response`.
std::vector<GainPass> gain_passes(std::string_view response, const std::vector<Span>& spans,
                                  const std::vector<Token>& tokens, const Pass& conditional);

// gain = L(correction | context without its reflection) - L(correction | context with it), in nats
// a token: above 0, the reflection made the correction likelier. `novel_gain` is the same over the
// tokens that the reflection does not already contain; absent where there is none.
struct SpanGain {
  int round;
  double nll_with, nll_without, gain;
  std::optional<double> novel_gain;
  std::int64_t tokens;
};

// `with` and `without` are the scores of the conditional pass and of `pass.without`; both kOk.
SpanGain span_gain(const GainPass& pass, const PassScore& with, const PassScore& without);

}  // namespace reflect
