#include "reflect/score/spans.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <unordered_set>

namespace reflect {

namespace {

struct Range {
  std::size_t begin, end;
  bool contains(std::size_t at) const { return begin <= at && at < end; }
};

// Indices [begin, end) of the tokens that begin in `bytes`.
Range tokens_in(const std::vector<Token>& tokens, Range bytes) {
  const auto first_from = [&](std::size_t byte) {
    return static_cast<std::size_t>(
        std::lower_bound(tokens.begin(), tokens.end(), byte,
                         [](const Token& token, std::size_t b) { return token.begin < b; }) -
        tokens.begin());
  };
  return {first_from(bytes.begin), first_from(bytes.end)};
}

// The bytes of a reflection with the tags around it. A format span may hold more than its tag.
Range with_tags(std::string_view response, const Span& reflection) {
  constexpr std::string_view kOpen = "<reflection>", kClose = "</reflection>";
  Range bytes{reflection.begin, reflection.end};
  if (response.substr(0, bytes.begin).ends_with(kOpen)) bytes.begin -= kOpen.size();
  if (response.substr(bytes.end).starts_with(kClose)) bytes.end += kClose.size();
  return bytes;
}

// The conditional pass up to the end of `correction`, which is its target, with `in_place` where
// the reflection stood.
Pass pass_with(const std::vector<std::int32_t>& in_place, Range reflection, Range correction,
               const Pass& conditional, std::string_view name) {
  const std::vector<std::int32_t>& ids = conditional.target_ids;
  const auto at = [&](std::size_t i) { return ids.begin() + static_cast<std::ptrdiff_t>(i); };
  Pass pass;
  pass.name = name;
  std::vector<std::int32_t>& context = pass.context_ids;
  context = conditional.context_ids;
  context.insert(context.end(), ids.begin(), at(reflection.begin));
  context.insert(context.end(), in_place.begin(), in_place.end());
  context.insert(context.end(), at(reflection.end), at(correction.begin));
  pass.target_ids.assign(at(correction.begin), at(correction.end));
  return pass;
}

GainPass gain_pass(int round, Range reflection, Range correction, const GainInput& input) {
  GainPass gain{
      .round = round,
      .without = pass_with({}, reflection, correction, input.conditional, kWithoutReflection),
      .other = std::nullopt,
      .correction_begin = correction.begin,
      .novel = {}};
  if (!input.other_ids.empty())
    gain.other =
        pass_with(input.other_ids, reflection, correction, input.conditional, kOtherReflection);
  const auto ids = input.conditional.target_ids.begin();
  const std::unordered_set<std::int32_t> said(ids + static_cast<std::ptrdiff_t>(reflection.begin),
                                              ids + static_cast<std::ptrdiff_t>(reflection.end));
  for (const std::int32_t id : gain.without.target_ids) gain.novel.push_back(!said.contains(id));
  return gain;
}

}  // namespace

std::vector<SpanNll> span_nlls(const std::vector<Span>& spans, const std::vector<Token>& tokens,
                               const std::vector<float>& log_probs) {
  constexpr std::size_t kTypes = 6;
  std::array<double, kTypes> sums{};
  std::array<std::int64_t, kTypes> counts{};
  for (const Span& span : spans) {
    const auto type = static_cast<std::size_t>(span.type);
    const Range range = tokens_in(tokens, {span.begin, span.end});
    for (std::size_t i = range.begin; i < range.end; ++i) sums[type] -= log_probs[i];
    counts[type] += static_cast<std::int64_t>(range.end - range.begin);
  }
  std::vector<SpanNll> result;
  for (std::size_t type = 0; type < kTypes; ++type)
    if (counts[type] > 0)
      result.push_back({static_cast<SpanType>(type), sums[type] / static_cast<double>(counts[type]),
                        counts[type]});
  return result;
}

std::vector<GainPass> gain_passes(const GainInput& input) {
  const std::vector<Span>& spans = input.spans;
  std::vector<GainPass> gains;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    if (spans[i].type != SpanType::kReflection || spans[i].round == 0) continue;
    const Range reflection = tokens_in(input.tokens, with_tags(input.response, spans[i]));
    const auto repair = std::find_if(
        spans.begin() + static_cast<std::ptrdiff_t>(i), spans.end(), [&](const Span& span) {
          return span.type == SpanType::kCorrection && span.round == spans[i].round;
        });
    if (repair == spans.end()) continue;
    const Range correction = tokens_in(input.tokens, {repair->begin, repair->end});
    if (correction.begin < correction.end)
      gains.push_back(gain_pass(spans[i].round, reflection, correction, input));
  }
  return gains;
}

void ReflectionDonor::add(const Record& record) {
  const std::vector<Span>& spans = record.spans;
  const auto found = std::find_if(spans.begin(), spans.end(), [](const Span& span) {
    return span.type == SpanType::kReflection;
  });
  if (found == spans.end()) return;
  const Range bytes = with_tags(record.response, *found);
  if (record.prompt() != latest_.prompt) before_ = std::move(latest_);
  latest_ = {record.prompt(), record.response.substr(bytes.begin, bytes.end - bytes.begin)};
}

std::string ReflectionDonor::for_row(const Record& record) const {
  return latest_.prompt != record.prompt() ? latest_.reflection : before_.reflection;
}

SpanGain span_gain(const GainPass& pass, const GainScores& scores) {
  double with = 0, without = 0, other = 0, novel = 0;
  std::int64_t novel_tokens = 0;
  const bool has_other = scores.other != nullptr && scores.other->status == ScoreStatus::kOk;
  for (std::size_t i = 0; i < scores.without.log_probs.size(); ++i) {
    const double log_with = scores.with.log_probs[pass.correction_begin + i];
    const double log_without = scores.without.log_probs[i];
    with -= log_with;
    without -= log_without;
    if (has_other) other -= scores.other->log_probs[i];
    if (!pass.novel[i]) continue;
    novel += log_with - log_without;
    ++novel_tokens;
  }
  const auto tokens = static_cast<double>(scores.without.log_probs.size());
  SpanGain gain{.round = pass.round,
                .nll_with = with / tokens,
                .nll_without = without / tokens,
                .gain = (without - with) / tokens,
                .novel_gain = std::nullopt,
                .nll_other = std::nullopt,
                .other_gain = std::nullopt,
                .tokens = static_cast<std::int64_t>(scores.without.log_probs.size())};
  if (novel_tokens > 0) gain.novel_gain = novel / static_cast<double>(novel_tokens);
  if (has_other) {
    gain.nll_other = other / tokens;
    gain.other_gain = (without - other) / tokens;
  }
  return gain;
}

}  // namespace reflect
