#include "recipes/solution.h"

#include "recipes/text_pieces.h"
#include "reflect/tasks/checker.h"

namespace reflect {
namespace {

constexpr std::string_view kThinkingEnd = "</thinking>";

bool is_answer_line(std::string_view line) {
  return line.starts_with("####") || line.starts_with("A:");
}

}  // namespace

std::vector<std::string> steps_of(const std::string& solution) {
  const std::string text = without_annotations(solution);
  std::vector<std::string> steps;
  for (const TextPiece& line : lines_in(text)) {
    if (!is_answer_line(line.in(text))) steps.emplace_back(line.in(text));
  }
  return steps;
}

Solution solution_of(std::string source, const std::string& text) {
  Solution solution;
  solution.source = std::move(source);
  solution.reply = text;
  solution.steps = steps_of(text);
  solution.output = extract_final_answer(text).value_or("");
  return solution;
}

Solution solution_of_reply(std::string source, const std::string& reply) {
  const Trace trace = parse_trace(reply);
  if (!trace.ok()) return solution_of(std::move(source), reply);
  Solution solution;
  solution.source = std::move(source);
  solution.reply = reply;
  solution.output = trace.output;
  const std::size_t begin = trace.spans.front().end;
  solution.steps = steps_of(reply.substr(begin, reply.find(kThinkingEnd) - begin));
  return solution;
}

}  // namespace reflect
