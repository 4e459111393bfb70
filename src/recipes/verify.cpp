#include "recipes/verify.h"

#include "recipes/audit.h"
#include "recipes/text_pieces.h"
#include "reflect/base/error.h"
#include "reflect/tasks/checker.h"
#include "reflect/tasks/step_checker.h"

namespace reflect {
namespace {

// Checks the written arithmetic of every line. Nothing said before a reflection is held against
// what comes after it.
std::optional<std::string> recheck(const TraceRow& row) {
  StepChecker checker(prompt_of(row));
  for (const Span& span : row.spans) {
    if (span.type == SpanType::kReflection) checker = StepChecker(prompt_of(row));
    const bool sound = span.type == SpanType::kThinking || span.type == SpanType::kCorrection;
    const bool proven = span.type == SpanType::kError && span.proof == Proof::kExecuted;
    if (!sound && !proven) continue;
    const std::string_view text =
        std::string_view(row.response).substr(span.begin, span.end - span.begin);
    bool wrong = false;
    for (const TextPiece& line : lines_in(text)) {
      wrong = checker.check(line.in(text)).verdict == StepVerdict::kWrong || wrong;
    }
    if (sound && wrong) return fmt::format("a wrong equation in \"{}\"", text);
    if (proven && !wrong) return fmt::format("no wrong equation in \"{}\"", text);
  }
  return std::nullopt;
}

// Rejects a row without an answer, or whose spans are not what its tags say.
bool has_form(TraceRow& row) {
  if (!answer_of(row)) {
    row.reject("no_gold_answer");
  } else if (const auto reason = check_spans(row.response, row.spans)) {
    row.reject("bad_spans", *reason);
  }
  return row.fate == Fate::kUnderWay;
}

// Why the steps are not what the spans claim.
std::optional<std::string> false_claim(const TraceRow& row) {
  const SourceTask& task = *row.task;
  return task.program && !row.assembled
             ? audit(*task.family, *task.program, row.response, row.spans)
             : recheck(row);
}

Comparison output_and_answer(const TraceRow& row) {
  return {{parse_trace(row.response).output}, *answer_of(row)};
}

}  // namespace

Comparison comparison_of(const VerifyStep&, const TraceRow& row) {
  TraceRow copy = row;
  return has_form(copy) && !false_claim(copy) ? output_and_answer(row) : Comparison();
}

void verify(const VerifyStep& step, const std::vector<TeacherReply>& replies, TraceRow& row) {
  if (!has_form(row)) return;
  const bool unasked = step.checker == kJudge && replies.empty();
  if (!unasked) {
    const auto verdicts = compare(step.checker, output_and_answer(row), replies, row);
    if (!verdicts) return;
    const Verdict& verdict = verdicts->front();
    if (!verdict.right) return row.reject("wrong_output", verdict.reason);
  }
  if (const auto reason = false_claim(row)) return row.reject("not_as_claimed", *reason);
  if (unasked) row.reject("wrong_output", "empty");
}

}  // namespace reflect
