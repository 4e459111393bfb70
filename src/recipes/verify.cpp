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

}  // namespace

void verify(const VerifyStep& step, TraceRow& row) {
  const SourceTask& task = *row.task;
  const std::optional<std::string>& answer = answer_of(row);
  if (!answer) return row.reject("no_gold_answer");
  if (const auto reason = check_spans(row.response, row.spans)) {
    return row.reject("bad_spans", *reason);
  }
  const std::string output = parse_trace(row.response).output;
  const Verdict verdict = Checker::named(step.checker).check(output, *answer);
  if (!verdict.right) return row.reject("wrong_output", verdict.reason);
  const auto reason = task.program && !row.assembled
                          ? audit(*task.family, *task.program, row.response, row.spans)
                          : recheck(row);
  if (reason) row.reject("not_as_claimed", *reason);
}

}  // namespace reflect
