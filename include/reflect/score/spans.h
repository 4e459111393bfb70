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

// The passes that score a round's correction without its reflection and with the reflection of
// another row. The correction's ids are the same as in the conditional pass; the reflection's
// tokens, with its tags, are left out or replaced.
struct GainPass {
  int round;
  Pass without;
  std::optional<Pass> other;     // where there is another row's reflection
  std::size_t correction_begin;  // index of the correction's first token in the response's tokens
  std::vector<bool> novel;       // per correction token: its id does not occur in the reflection
};

inline constexpr std::string_view kWithoutReflection = "without_reflection";
inline constexpr std::string_view kOtherReflection = "other_reflection";

// What gain passes are made from: the row's conditional pass, `tokens` its target's bytes in
// `response`, and the ids of another row's reflection with its tags, or none.
struct GainInput {
  std::string_view response;
  const std::vector<Span>& spans;
  const std::vector<Token>& tokens;
  const Pass& conditional;
  std::vector<std::int32_t> other_ids = {};
};

// One per round that has both a reflection and a later correction with tokens.
std::vector<GainPass> gain_passes(const GainInput& input);

// Lends each row the first reflection, with its tags, of the nearest earlier row of another prompt.
class ReflectionDonor {
 public:
  void add(const Record& record);
  std::string for_row(const Record& record) const;  // empty: no earlier row has one

 private:
  struct Loan {
    std::string prompt, reflection;
  };
  Loan latest_, before_;  // of two prompts
};

// gain = L(correction | context without its reflection) - L(correction | context with it), in nats
// a token: above 0, the reflection made the correction likelier. `novel_gain` is the same over the
// tokens that the reflection does not already contain; absent where there is none. `other_gain` is
// the gain with another row's reflection in place of this one's: what any reflection is worth.
struct SpanGain {
  int round;
  double nll_with, nll_without, gain;
  std::optional<double> novel_gain;
  std::optional<double> nll_other, other_gain;
  std::int64_t tokens;
};

// Scores of the conditional pass and of a gain pass's passes.
struct GainScores {
  const PassScore& with;
  const PassScore& without;
  const PassScore* other;  // null: there is no such pass
};

// `with` and `without` are kOk; numbers of another row's reflection are absent where it is not.
SpanGain span_gain(const GainPass& pass, const GainScores& scores);

}  // namespace reflect
