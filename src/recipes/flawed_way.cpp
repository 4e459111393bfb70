#include "recipes/flawed_way.h"

#include <algorithm>

#include "recipes/corruption.h"
#include "recipes/text_pieces.h"
#include "reflect/base/error.h"
#include "reflect/tasks/checker.h"

namespace reflect {
namespace {

std::string answer_text(const StepValue& value) {
  return value.list.empty() ? std::to_string(value.number)
                            : fmt::format("{}", fmt::join(value.list, ", "));
}

// The solution as somebody wrote it.
std::optional<std::string> recorded_way(const TraceRow& row) {
  const Solution& solution = row.solution;
  const std::optional<std::string>& right = answer_of(row);
  if (right && Checker::named("auto").check(solution.output, *right).right) return std::nullopt;
  TraceBuilder trace;
  for (const std::string& step : solution.steps) trace.thinking(step + "\n");
  trace.output(solution.output);
  return trace.text();
}

// The way on from a mistake in an executable solution.
class ComputedWay {
 public:
  explicit ComputedWay(const TraceRow& row)
      : row_(row),
        family_(*row.task->family),
        program_(*row.task->program),
        believed_(program_.quantities()) {
    std::copy(program_.given.begin(), program_.given.end(), believed_.begin());
  }

  // From the mistake that the reflection of span `reflection` notices.
  std::optional<std::string> from(std::size_t reflection) {
    for (std::size_t i = 0; i + 1 < reflection; ++i) retell(row_.spans[i]);
    const std::vector<bool> needed = needed_steps();
    for (std::size_t step = 0; step < needed.size(); ++step) {
      if (!needed[step]) continue;
      const Execution execution = carry_out(program_, step, believed_);
      if (!execution.result) return std::nullopt;
      trace_.thinking(family_.write(program_, execution) + "\n");
      believed_[program_.quantity_of(step)] = execution.result;
    }
    const std::string answer = answer_text(*believed_.back());
    if (answer == program_.answer) return std::nullopt;
    trace_.output(answer);
    return trace_.text();
  }

 private:
  void retell(const Span& span) {
    const std::string_view text =
        std::string_view(row_.response).substr(span.begin, span.end - span.begin);
    if (span.type == SpanType::kFormat) return;
    if (span.type == SpanType::kReflection) return trace_.reflection(text, span.round);
    trace_.thinking(text);
    for (const TextPiece& line : lines_in(text)) {
      const std::optional<Execution> done = family_.read(program_, line.in(text));
      if (done && done->result) believed_[program_.quantity_of(done->step)] = done->result;
    }
  }

  // The steps that the answer still needs, given what is believed.
  std::vector<bool> needed_steps() const {
    std::vector<bool> needed(program_.steps.size(), false);
    for (std::size_t step = needed.size(); step-- > 0;) {
      const bool asked_for = step + 1 == needed.size() || needed[step];
      needed[step] = asked_for && !believed_[program_.quantity_of(step)];
      if (!needed[step]) continue;
      for (const std::size_t operand : program_.steps[step].operands) {
        if (!program_.is_given(operand)) needed[operand - program_.given.size()] = true;
      }
    }
    return needed;
  }

  const TraceRow& row_;
  const Family& family_;
  const Program& program_;
  KnownValues believed_;
  TraceBuilder trace_;
};

}  // namespace

std::optional<std::string> flawed_way(const TraceRow& row) {
  if (row.errors.empty()) return std::nullopt;
  if (row.mistake && !row.solution.steps.empty()) return recorded_way(row);
  if (!row.task->program || row.assembled) return std::nullopt;
  for (const TraceError& error : row.errors) {
    if (error.kind == name_of(ErrorKind::kTooEarly)) continue;
    for (std::size_t i = 0; i < row.spans.size(); ++i) {
      const Span& span = row.spans[i];
      if (span.type != SpanType::kReflection || span.round != error.round) continue;
      if (auto way = ComputedWay(row).from(i)) return way;
    }
  }
  return std::nullopt;
}

}  // namespace reflect
