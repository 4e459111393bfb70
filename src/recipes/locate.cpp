#include "recipes/locate.h"

#include <algorithm>

#include "recipes/program_steps.h"
#include "recipes/text_pieces.h"
#include "reflect/base/error.h"
#include "reflect/tasks/step_checker.h"

namespace reflect {
namespace {

std::optional<MistakePlace> place_by_annotation(const TraceRow& row) {
  const Solution& solution = row.solution;
  if (!solution.mistake || *solution.mistake >= solution.steps.size()) return std::nullopt;
  return MistakePlace{solution.mistake, Proof::kAnnotated, {}, {}, {}};
}

std::optional<MistakePlace> place_by_checker(const TraceRow& row) {
  if (row.task->program) return place_in_program(*row.task, row.solution.steps);
  StepChecker checker(row.task->problem.prompt());
  for (std::size_t i = 0; i < row.solution.steps.size(); ++i) {
    const std::string& step = row.solution.steps[i];
    const StepCheck check = checker.check(step);
    if (check.verdict == StepVerdict::kWrong) return wrong_equation(step, check, i);
  }
  return std::nullopt;
}

// The quote without marks and white space around it.
std::string_view bare_quote(std::string_view quote) {
  constexpr std::string_view kAround = " \t\r\n\"'`";
  const std::size_t begin = quote.find_first_not_of(kAround);
  if (begin == quote.npos) return {};
  quote.remove_prefix(begin);
  quote = quote.substr(0, quote.find('\n'));
  return quote.substr(0, quote.find_last_not_of(kAround) + 1);
}

// The step that holds the quote, word for word.
std::optional<MistakePlace> place_by_quote(const TraceRow& row, std::string_view quote) {
  quote = bare_quote(quote);
  if (quote.empty()) return std::nullopt;
  for (std::size_t i = 0; i < row.solution.steps.size(); ++i) {
    if (row.solution.steps[i].find(quote) == std::string::npos) continue;
    return MistakePlace{i, Proof::kJudged, {}, {}, {}};
  }
  return std::nullopt;
}

// Replaces the part [begin, end) of a thinking span by a span of its own.
void cut_out(std::vector<Span>& spans, std::size_t index, std::size_t begin, std::size_t end,
             const Span& as) {
  const Span whole = spans[index];
  Span part = as;
  part.begin = begin;
  part.end = end;
  std::vector<Span> parts;
  if (whole.begin < begin) parts.push_back({whole.type, whole.begin, begin});
  parts.push_back(part);
  if (end < whole.end) parts.push_back({whole.type, end, whole.end});
  const auto at = spans.erase(spans.begin() + static_cast<std::ptrdiff_t>(index));
  spans.insert(at, parts.begin(), parts.end());
}

// The first sentence of the thinking that follows the reflection is its correction.
void mark_correction(TraceRow& row, int round) {
  bool after = false;
  for (std::size_t i = 0; i < row.spans.size(); ++i) {
    const Span span = row.spans[i];
    if (span.type == SpanType::kReflection && span.round == round) after = true;
    if (!after || span.type != SpanType::kThinking) continue;
    const std::string_view text =
        std::string_view(row.response).substr(span.begin, span.end - span.begin);
    const std::vector<TextPiece> sentences = sentences_in(text);
    if (sentences.empty()) continue;
    const TextPiece first = sentences.front();
    return cut_out(row.spans, i, span.begin + first.begin, span.begin + first.end,
                   {SpanType::kCorrection, 0, 0, round});
  }
}

// Marks the quoted part of the text between the reflection before and the one of `round` as its
// mistake, and the first sentence after that reflection as the correction.
bool place_in_trace(TraceRow& row, int round, std::string_view quote) {
  quote = bare_quote(quote);
  if (quote.empty()) return false;
  const auto is_reflection = [&](const Span& span) {
    return span.type == SpanType::kReflection && span.round == round;
  };
  const auto reflection = std::ranges::find_if(row.spans, is_reflection);
  auto i = static_cast<std::size_t>(reflection - row.spans.begin());
  for (; i > 0 && !(row.spans[i - 1].type == SpanType::kReflection); --i) {
    const Span span = row.spans[i - 1];
    if (span.type != SpanType::kThinking) continue;
    const std::string_view text =
        std::string_view(row.response).substr(span.begin, span.end - span.begin);
    const std::size_t found = text.find(quote);
    if (found == text.npos) continue;
    cut_out(row.spans, i - 1, span.begin + found, span.begin + found + quote.size(),
            {SpanType::kError, 0, 0, round, Proof::kJudged});
    mark_correction(row, round);
    return true;
  }
  return false;
}

void locate_in_trace(const LocateStep& step, const std::vector<std::string>& quotes,
                     TraceRow& row) {
  std::size_t next = 0;
  for (TraceError& error : row.errors) {
    if (error.kind != "unplaced") continue;
    if (next < quotes.size() && place_in_trace(row, error.round, quotes[next])) {
      error.kind = "quoted_step";
      error.proof = Proof::kJudged;
    } else if (step.unplaced == "reject") {
      return row.reject("unplaced", fmt::format("round {}", error.round));
    }
    ++next;
  }
}

}  // namespace

MistakePlace wrong_equation(std::string_view step, const StepCheck& check, std::size_t index) {
  const std::string_view equation = step.substr(check.begin, check.end - check.begin);
  std::string_view left = equation.substr(0, equation.rfind('='));
  while (left.ends_with(' ')) left.remove_suffix(1);
  return {index, Proof::kExecuted, std::string(left), check.expected, check.written};
}

void locate(const LocateStep& step, const Recipe& recipe, TraceRow& row) {
  if (row.right_at_once) return;
  const RowFields fields(recipe, row);
  if (!row.response.empty()) return locate_in_trace(step, fields.list(step.quote), row);
  if (row.mistake && row.mistake->step) return;
  if (row.solution.output.empty()) return row.reject("no_final_answer");
  for (const std::string& who : step.by) {
    row.mistake = who == "annotation" ? place_by_annotation(row)
                  : who == "checker"  ? place_by_checker(row)
                                      : place_by_quote(row, fields.text(step.quote));
    if (row.mistake) return;
  }
  if (step.unplaced == "reject") return row.reject("unplaced");
  row.mistake = MistakePlace{};
}

}  // namespace reflect
