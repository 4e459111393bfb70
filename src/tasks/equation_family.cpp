#include "tasks/equation_family.h"

#include "tasks/text_cursor.h"

namespace reflect {
namespace {

std::string side_text(const std::optional<StepValue>& value, bool is_right) {
  return value ? operand_text(value->number, is_right) : "?";
}

std::string left_side(const Execution& execution) {
  std::string text = side_text(execution.values[0], false);
  text += ' ';
  text += sign_of(execution.operation);
  text += ' ';
  return text += side_text(execution.values[1], true);
}

bool read_operand(TextCursor& text, std::optional<StepValue>& value) {
  if (text.take("?")) return true;
  const bool parenthesised = text.take("(");
  const std::optional<std::int64_t> number = text.number();
  if (!number || (parenthesised && !text.take(")"))) return false;
  value = StepValue{*number, {}};
  return true;
}

// "3 + 4" into operation and values.
bool read_left_side(TextCursor& text, Execution& execution) {
  if (!read_operand(text, execution.values[0]) || !text.take(" ")) return false;
  const std::optional<char> sign = text.character();
  const std::optional<Operation> operation = sign ? operation_of_sign(*sign) : std::nullopt;
  if (!operation || !text.take(" ")) return false;
  execution.operation = *operation;
  return read_operand(text, execution.values[1]);
}

bool read_result(TextCursor& text, Execution& execution) {
  const std::optional<std::int64_t> number = text.number();
  if (number) execution.result = StepValue{*number, {}};
  return number && text.at_end();
}

// "3 + ?": the whole text of an attempt.
bool read_attempt(std::string_view body, Execution& execution) {
  execution.values = {};
  TextCursor text(body);
  return read_left_side(text, execution) && text.at_end() &&
         !(execution.values[0] && execution.values[1]);
}

// "3 + 4 = 7"
bool read_equation(std::string_view body, Execution& execution) {
  execution.values = {};
  TextCursor text(body);
  return read_left_side(text, execution) && execution.values[0] && execution.values[1] &&
         text.take(" = ") && read_result(text, execution);
}

// "7" after a `before` of "3 + 4 = ".
bool read_short(std::string_view before, std::string_view body, Execution& execution) {
  execution.values = {};
  TextCursor left(before);
  if (!read_left_side(left, execution) || !left.take(" = ") || !left.at_end()) return false;
  TextCursor right(body);
  return read_result(right, execution);
}

}  // namespace

std::string operand_text(std::int64_t number, bool is_right) {
  const std::string digits = std::to_string(number);
  return is_right && number < 0 ? "(" + digits + ")" : digits;
}

std::string EquationFamily::write(const Program& program, const Execution& execution) const {
  const ProgramStep& step = program.steps.at(execution.step);
  std::string line = step.before;
  const std::string left = left_side(execution);
  if (!execution.result) return line + left;
  if (line != left + " = ") {
    line += left;
    line += " = ";
  }
  line += std::to_string(execution.result->number);
  return line += step.after;
}

std::optional<Execution> EquationFamily::read(const Program& program, std::string_view line) const {
  for (std::size_t i = 0; i < program.steps.size(); ++i) {
    const ProgramStep& step = program.steps[i];
    if (!line.starts_with(step.before)) continue;
    const std::string_view rest = line.substr(step.before.size());
    Execution execution{i, step.operation, step.operands, {}, {}};
    if (read_attempt(rest, execution)) return execution;
    if (!rest.ends_with(step.after)) continue;
    const std::string_view body = rest.substr(0, rest.size() - step.after.size());
    if (read_equation(body, execution)) return execution;
    if (read_short(step.before, body, execution)) return execution;
  }
  return std::nullopt;
}

std::string EquationFamily::equation(const Program&, const Execution& execution) const {
  std::string text = left_side(execution);
  if (execution.result) text += " = " + std::to_string(execution.result->number);
  return text;
}

std::string EquationFamily::unknown(const Program& program, std::size_t quantity) const {
  return program.names.at(quantity) + " is not known yet.";
}

}  // namespace reflect
