#include "recipes/parse_reply.h"

#include "recipes/locate.h"
#include "recipes/text_pieces.h"
#include "reflect/base/error.h"

namespace reflect {
namespace {

// Splits the thinking spans of a parsed trace where mistakes and their corrections are.
class MistakeFinder {
 public:
  MistakeFinder(const std::string& response, const std::string& problem)
      : response_(response), problem_(problem) {}

  std::vector<Span> run(const Trace& trace) {
    for (std::size_t i = 0; i < trace.spans.size(); ++i) {
      const Span& span = trace.spans[i];
      if (span.type == SpanType::kReflection) {
        answers_ = found_ ? span.round : 0;
        found_ = false;
        spans_.push_back(span);
      } else if (span.type == SpanType::kThinking) {
        read_thinking(span, reflection_after(trace, i));
      } else {
        spans_.push_back(span);
      }
    }
    return std::move(spans_);
  }

  const std::vector<TraceError>& errors() const { return errors_; }

 private:
  // The round of the reflection that follows span `i` directly; 0 where none does.
  static int reflection_after(const Trace& trace, std::size_t i) {
    const bool follows =
        i + 2 < trace.spans.size() && trace.spans[i + 2].type == SpanType::kReflection;
    return follows ? trace.spans[i + 2].round : 0;
  }

  void read_thinking(const Span& span, int round) {
    StepChecker checker(problem_);
    std::size_t written = span.begin;
    const std::string_view text =
        std::string_view(response_).substr(span.begin, span.end - span.begin);
    for (const TextPiece& sentence : sentences_in(text)) {
      const std::size_t begin = span.begin + sentence.begin;
      const std::size_t end = span.begin + sentence.end;
      const StepCheck check = checker.check(sentence.in(text));
      if (answers_ != 0) {
        add(written, begin, {SpanType::kThinking, 0, 0});
        add(begin, end, {SpanType::kCorrection, 0, 0, answers_});
        written = end;
        answers_ = 0;
      } else if (round != 0 && !found_ && check.verdict == StepVerdict::kWrong) {
        add(written, begin, {SpanType::kThinking, 0, 0});
        add(begin, end, {SpanType::kError, 0, 0, round, Proof::kExecuted});
        written = end;
        found_ = true;
        errors_.push_back({round, "wrong_equation", Proof::kExecuted, std::nullopt});
      }
    }
    if (round != 0 && !found_) errors_.push_back({round, "unplaced", Proof::kNone, std::nullopt});
    add(written, span.end, {SpanType::kThinking, 0, 0});
  }

  void add(std::size_t begin, std::size_t end, Span span) {
    span.begin = begin;
    span.end = end;
    if (begin < end) spans_.push_back(span);
  }

  const std::string& response_;
  const std::string& problem_;
  std::vector<Span> spans_;
  std::vector<TraceError> errors_;
  bool found_ = false;  // a mistake since the last reflection
  int answers_ = 0;     // the round whose correction the next sentence is
};

}  // namespace

void parse_reply(const ParseStep& step, TraceRow& row) {
  row.response = row.solution.reply;
  const Trace trace = parse_trace(row.response);
  if (!trace.ok()) {
    const TraceProblem& problem = trace.problems.front();
    return row.reject(fmt::format("trace_{}", name_of(problem.issue)),
                      fmt::format("byte {}", problem.offset));
  }
  MistakeFinder finder(row.response, prompt_of(row));
  row.spans = finder.run(trace);
  row.errors = finder.errors();
  for (const TraceError& error : row.errors) {
    if (error.proof == Proof::kNone && step.unplaced == "reject") {
      return row.reject("unplaced", fmt::format("round {}", error.round));
    }
  }
}

}  // namespace reflect
