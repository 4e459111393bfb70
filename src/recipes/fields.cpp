#include "recipes/fields.h"

#include <algorithm>
#include <cctype>

#include "reflect/base/error.h"
#include "reflect/base/white_space.h"

namespace reflect {
namespace {

constexpr std::string_view kMissing = "missing";
constexpr std::string_view kReplies = "_replies";  // after the name of a conversation

std::string lines_of(const std::vector<std::string>& steps, std::size_t begin, std::size_t end) {
  std::string text;
  for (std::size_t i = begin; i < end; ++i) {
    if (!text.empty()) text += '\n';
    text += steps[i];
  }
  return text;
}

// Without regard to case, and to white space and a full stop around.
bool same_text(std::string_view a, std::string_view b) {
  a = trimmed(a);
  b = trimmed(b);
  if (a.ends_with('.')) a.remove_suffix(1);
  if (b.ends_with('.')) b.remove_suffix(1);
  return std::ranges::equal(
      a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

std::string place_of(const TraceRow& row) {
  return row.mistake && row.mistake->step ? std::string(name_of(row.mistake->proof)) : "";
}

std::string transcript_of(const std::vector<Message>& messages) {
  std::string text;
  for (const Message& message : messages) {
    if (message.role == "system") continue;
    if (!text.empty()) text += "\n\n";
    text += fmt::format("[{}]\n{}", message.role, trimmed(message.content));
  }
  return text;
}

std::vector<std::string> replies_in(const std::vector<Message>& messages) {
  std::vector<std::string> replies;
  for (const Message& message : messages) {
    if (message.role == "assistant") replies.push_back(message.content);
  }
  return replies;
}

// The text of reflections whose mistake has no place.
std::vector<std::string> unplaced_reflections(const TraceRow& row) {
  std::vector<std::string> texts;
  for (const TraceError& error : row.errors) {
    if (error.kind != "unplaced") continue;
    for (const Span& span : row.spans) {
      if (span.type == SpanType::kReflection && span.round == error.round) {
        texts.push_back(row.response.substr(span.begin, span.end - span.begin));
      }
    }
  }
  return texts;
}

}  // namespace

const std::vector<std::string>& given_fields() {
  static const std::vector<std::string> names = {
      "problem",     "answer",   "gold_solution", "system_prompt", "solution", "reply",
      "output",      "place",    "sound_steps",   "wrong_step",    "left",     "right_value",
      "wrong_value", "response", "solution_is",   "unplaced"};
  return names;
}

std::vector<std::string> RowFields::given(std::string_view name) const {
  const SourceTask& task = *row_.task;
  const Solution& solution = row_.solution;
  const auto one = [](std::string text) { return std::vector<std::string>{std::move(text)}; };
  if (name == "problem") return one(task.problem.prompt());
  if (name == "answer") return one(task.problem.answer.value_or(""));
  if (name == "gold_solution") return one(lines_of(task.gold_steps, 0, task.gold_steps.size()));
  if (name == "system_prompt") return one(recipe_.system_prompt);
  if (name == "solution") return one(lines_of(solution.steps, 0, solution.steps.size()));
  if (name == "reply") return one(solution.reply);
  if (name == "output") return one(solution.output);
  if (name == "response") return one(row_.response);
  if (name == "unplaced") return unplaced_reflections(row_);
  if (name == "place") return one(place_of(row_));
  if (name == "solution_is") return one(row_.right_at_once ? "right" : "wrong");
  if (!row_.mistake) return {};
  const MistakePlace& mistake = *row_.mistake;
  if (name == "left") return one(mistake.left);
  if (name == "right_value") return one(mistake.right_value);
  if (name == "wrong_value") return one(mistake.wrong_value);
  if (!mistake.step) return {};
  if (name == "sound_steps") return one(lines_of(solution.steps, 0, *mistake.step));
  if (name == "wrong_step") return one(solution.steps[*mistake.step]);
  return {};
}

std::vector<std::string> RowFields::list(std::string_view name) const {
  const std::string key(name);
  if (const auto made = row_.fields.find(key); made != row_.fields.end()) return made->second;
  if (const auto talk = row_.conversations.find(key); talk != row_.conversations.end()) {
    return {transcript_of(talk->second)};
  }
  if (key.ends_with(kReplies)) {
    const auto of = row_.conversations.find(key.substr(0, key.size() - kReplies.size()));
    if (of != row_.conversations.end()) return replies_in(of->second);
  }
  const auto constant = recipe_.constants.find(key);
  return constant != recipe_.constants.end() ? constant->second : given(name);
}

std::string RowFields::text(std::string_view name) const {
  std::string text;
  for (const std::string& each : list(name)) {
    if (each.empty()) continue;
    if (!text.empty()) text += "\n\n";
    text += each;
  }
  return text;
}

bool RowFields::holds(const Condition& condition) const {
  if (condition.field.empty()) return true;
  const std::vector<std::string> values = list(condition.field);
  const auto is = [&](const std::string& value) {
    return condition.text == kMissing ? trimmed(value).empty() : same_text(value, condition.text);
  };
  const bool found = values.empty() ? condition.text == kMissing : std::ranges::all_of(values, is);
  return found != condition.negated;
}

bool RowFields::all_hold(const std::vector<Condition>& conditions) const {
  return std::ranges::all_of(conditions, [this](const Condition& each) { return holds(each); });
}

std::string RowFields::fill(const TextTemplate& text) const {
  return fill(text, {});
}

std::string RowFields::fill(const TextTemplate& text, const TemplateFields& more) const {
  return text.fill([&](std::string_view name) -> std::optional<std::string> {
    const auto found = std::ranges::find(more, name, &TemplateFields::value_type::first);
    return found != more.end() ? found->second : this->text(name);
  });
}

}  // namespace reflect
