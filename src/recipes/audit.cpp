#include "recipes/audit.h"

#include <map>

#include "recipes/text_pieces.h"
#include "reflect/base/error.h"

namespace reflect {
namespace {

// One line of a span.
struct Line {
  std::string_view text;
  SpanType type;
  int round;
  bool first;         // of its span
  bool meets_remark;  // a reflection follows directly
};

std::vector<Line> lines_of(std::string_view response, const std::vector<Span>& spans) {
  std::vector<Line> lines;
  for (const Span& span : spans) {
    const bool read = span.type == SpanType::kThinking || span.type == SpanType::kError ||
                      span.type == SpanType::kCorrection;
    if (!read) continue;
    const std::string_view text = response.substr(span.begin, span.end - span.begin);
    const bool remark_follows = response.substr(span.end).starts_with("<reflection>");
    for (const TextPiece& piece : lines_in(text)) {
      lines.push_back({piece.in(text), span.type, span.round, piece.begin == 0,
                       remark_follows && piece.end == text.size()});
    }
  }
  return lines;
}

class Audit {
 public:
  Audit(const Family& family, const Program& program)
      : family_(family), program_(program), right_(execute(program)), known_(right_.size()) {
    for (std::size_t i = 0; i < program.given.size(); ++i) known_[i] = program.given[i];
  }

  std::optional<std::string> run(const std::vector<Line>& lines) {
    for (const Line& line : lines) {
      const std::optional<Execution> done = family_.read(program_, line.text);
      if (!done) return says("is no step of the problem", line);
      const auto reason =
          line.type == SpanType::kError ? read_error(line, *done) : read_sound(line, *done);
      if (reason) return reason;
    }
    for (const auto& [round, step] : to_repair_) {
      return fmt::format("the wrong step {} of round {} is not repaired", step, round);
    }
    if (!known_.back()) return "the last step is missing";
    return std::nullopt;
  }

 private:
  static std::string says(std::string_view what, const Line& line) {
    return fmt::format("\"{}\" {}", line.text, what);
  }

  bool is_right(const Execution& done) const {
    return done.result && done == carry_out(program_, done.step, known_);
  }

  // Whether the first operand of an attempt, where its value is written, has that value.
  bool recalls_right(const Execution& done) const {
    return !done.values[0] || done.values[0] == known_[done.operands[0]];
  }

  bool is_possible(std::size_t step) const {
    const auto [a, b] = program_.steps[step].operands;
    return known_[a] && known_[b];
  }

  void learn(const Execution& done) { known_[program_.quantity_of(done.step)] = done.result; }

  std::optional<std::string> read_error(const Line& line, const Execution& done) {
    if (!line.first) {
      if (is_right(done)) learn(done);  // one that does not build on the mistake
      return std::nullopt;
    }
    if (!done.result) {
      if (is_possible(done.step)) return says("is possible, so it is no mistake", line);
      if (!recalls_right(done)) return says("recalls a wrong value", line);
      return std::nullopt;
    }
    if (done.result == right_[program_.quantity_of(done.step)]) {
      return says("has the right result, so it is no mistake", line);
    }
    to_repair_[line.round] = done.step;
    return std::nullopt;
  }

  std::optional<std::string> read_sound(const Line& line, const Execution& done) {
    const bool answers = line.type == SpanType::kCorrection;
    if (!done.result) {
      if (is_possible(done.step)) return says("stops at a step that is possible", line);
      if (!answers || !line.meets_remark) return says("is an attempt outside an error", line);
      if (!recalls_right(done)) return says("recalls a wrong value", line);
      return std::nullopt;
    }
    if (!is_right(done)) return says("is wrong or comes too early outside an error", line);
    learn(done);
    const auto open = to_repair_.find(line.round);
    if (answers && open != to_repair_.end() && open->second == done.step) to_repair_.erase(open);
    return std::nullopt;
  }

  const Family& family_;
  const Program& program_;
  std::vector<StepValue> right_;
  std::vector<std::optional<StepValue>> known_;
  std::map<int, std::size_t> to_repair_;  // step by round
};

}  // namespace

std::optional<std::string> audit(const Family& family, const Program& program,
                                 std::string_view response, const std::vector<Span>& spans) {
  return Audit(family, program).run(lines_of(response, spans));
}

}  // namespace reflect
