#include "recipes/ask.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "recipes/text_pieces.h"
#include "reflect/base/error.h"
#include "reflect/base/hash.h"
#include "reflect/base/random.h"
#include "reflect/base/white_space.h"

namespace reflect {
namespace {

// Draws of one attempt at a problem stay below this number.
constexpr std::uint64_t kDrawsOfAttempt = std::uint64_t{1} << 32;

SamplingConfig sampling_of(const Asking& asking, const SamplingConfig& of_teacher) {
  SamplingConfig sampling = of_teacher;
  if (asking.temperature >= 0) sampling.temperature = asking.temperature;
  if (asking.top_p > 0) sampling.top_p = asking.top_p;
  if (asking.max_new_tokens > 0) sampling.max_new_tokens = asking.max_new_tokens;
  if (!asking.stop.empty()) sampling.stop = asking.stop;
  return sampling;
}

TeacherRequest request_of(const Asking& asking, const AskingRow& at, const TemplateFields& more) {
  const RowFields fields(at.recipe, at.row);
  TeacherRequest request;
  const std::string system(trimmed(fields.fill(asking.system, more)));
  if (!system.empty()) request.messages.push_back({"system", system});
  request.messages.push_back({"user", std::string(trimmed(fields.fill(asking.prompt, more)))});
  request.begun = fields.fill(asking.begun, more);
  request.sampling = sampling_of(asking, at.sampling);
  return request;
}

// Numbers the draw that a request is.
void number(TeacherRequest& request, const AskingRow& at) {
  TraceRow& row = at.row;
  request.draw = row.attempt * kDrawsOfAttempt + row.asked[at.step]++;
  request.seed =
      random_key(at.seed, "teacher", {content_hash64(row.task->problem.id), request.draw});
}

struct Flaw {
  std::string reason;
  std::string detail;
};

std::optional<Flaw> flaw_of(const TeacherReply& reply) {
  switch (reply.finish) {
    case ReplyFinish::kFailed:
      return Flaw{reply.may_succeed_later ? std::string(kNotAnswered) : "request_failed",
                  reply.failure};
    case ReplyFinish::kRefusal:
      return Flaw{"refused", reply.text};
    case ReplyFinish::kLength:
      return Flaw{"cut_off", ""};
    case ReplyFinish::kPromptTooLong:
      return Flaw{"prompt_too_long", reply.failure};
    case ReplyFinish::kEnd:
    case ReplyFinish::kStop:
      break;
  }
  if (trimmed(reply.text).empty()) return Flaw{"empty_reply", ""};
  return std::nullopt;
}

void end_with(const Flaw& flaw, TraceRow& row) {
  const bool later = flaw.reason == kNotAnswered;
  row.end(later ? Fate::kNotUsed : Fate::kRejected, flaw.reason, flaw.detail);
}

// The text of the section <tag>...</tag>, trimmed.
std::optional<std::string> section_of(const std::string& text, const std::string& tag) {
  const std::string open = "<" + tag + ">";
  const std::size_t begin = text.find(open);
  if (begin == text.npos) return std::nullopt;
  const std::size_t end = text.find("</" + tag + ">", begin);
  if (end == text.npos) return std::nullopt;
  const std::string_view inside = std::string_view(text).substr(begin, end - begin);
  return std::string(trimmed(inside.substr(open.size())));
}

using Sections = std::vector<std::pair<std::string, std::string>>;

// The fields that one reply gives.
std::optional<Flaw> read_reply(const AskStep& step, const TeacherReply& reply, Sections& sections) {
  if (auto flaw = flaw_of(reply)) return flaw;
  sections.emplace_back(step.into, trimmed(reply.text));
  for (const std::string& tag : step.tags) {
    const bool optional = tag.ends_with('?');
    const std::string name = optional ? tag.substr(0, tag.size() - 1) : tag;
    const auto section = section_of(reply.text, name);
    if ((!section || section->empty()) && !optional) return Flaw{"no_" + name, ""};
    sections.emplace_back(name, section.value_or(""));
  }
  return std::nullopt;
}

// The lines of a list, without the numbers and dashes before them.
std::vector<std::string> listed_lines(const std::string& text) {
  std::vector<std::string> lines;
  for (const TextPiece& piece : lines_in(text)) {
    std::string_view line = trimmed(piece.in(text));
    if (const std::size_t digits = line.find_first_not_of("0123456789");
        digits != 0 && digits != line.npos && (line[digits] == '.' || line[digits] == ')')) {
      line.remove_prefix(digits + 1);
    } else if (line.starts_with("- ") || line.starts_with("* ")) {
      line.remove_prefix(2);
    }
    if (!trimmed(line).empty()) lines.emplace_back(trimmed(line));
  }
  return lines;
}

std::string rubric_text(const JudgeStep& step) {
  std::string text;
  for (const auto& [name, meaning] : step.rubric) {
    text += fmt::format("{}{}: {}", text.empty() ? "" : "\n", name, meaning);
  }
  return text;
}

// The mark on the last line "name: mark", which may be decorated ("- **name**: 4/5").
std::optional<double> mark_in(const std::string& text, const std::string& name) {
  std::optional<double> mark;
  for (const TextPiece& piece : lines_in(text)) {
    std::string_view line = piece.in(text);
    line.remove_prefix(std::min(line.find_first_not_of(" \t*-#"), line.size()));
    if (!line.starts_with(name)) continue;
    line.remove_prefix(name.size());
    line.remove_prefix(std::min(line.find_first_not_of(" \t*:"), line.size()));
    double value = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
    if (error == std::errc()) mark = value;
  }
  return mark;
}

}  // namespace

TeacherRequest numbered_request(const Asking& asking, const AskingRow& at,
                                const TemplateFields& more) {
  TeacherRequest request = request_of(asking, at, more);
  number(request, at);
  return request;
}

std::vector<TeacherRequest> requests_of(const AskStep& step, AskingRow at) {
  const RowFields fields(at.recipe, at.row);
  std::vector<std::string> items = {""};
  if (!step.each.empty()) items = fields.list(step.each);
  std::vector<TeacherRequest> requests;
  for (std::size_t i = 0; i < items.size(); ++i) {
    TeacherRequest request =
        request_of(step.asking, at, {{"item", items[i]}, {"number", std::to_string(i + 1)}});
    if (!step.conversation.empty()) {
      std::vector<Message>& talk = at.row.conversations[step.conversation];
      if (talk.empty()) {
        talk = request.messages;
      } else {
        talk.push_back(request.messages.back());
      }
      request.messages = talk;
    }
    for (std::int64_t sample = 0; sample < step.samples; ++sample) {
      number(request, at);
      requests.push_back(request);
    }
  }
  return requests;
}

std::vector<TeacherRequest> requests_of(const JudgeStep& step, AskingRow at) {
  return {numbered_request(step.asking, at, {{"rubric", rubric_text(step)}})};
}

// Without a prompt of its own the step asks as the training row will: the row's own messages.
std::vector<TeacherRequest> requests_of(const DrawStep& step, AskingRow at) {
  TeacherRequest request = request_of(step.asking, at, {});
  if (step.asking.prompt.empty()) {
    std::vector<Message> messages = at.row.task->problem.messages;
    const std::string system = step.asking.system.empty() ? at.recipe.system_prompt : "";
    if (!system.empty() && messages.front().role != "system") {
      messages.insert(messages.begin(), {"system", system});
    } else if (request.messages.size() == 2) {
      if (messages.front().role == "system") messages.erase(messages.begin());
      messages.insert(messages.begin(), request.messages.front());
    }
    request.messages = std::move(messages);
  }
  std::vector<TeacherRequest> requests;
  const std::int64_t samples = step.samples > 0 ? step.samples : at.samples;
  for (std::int64_t sample = 0; sample < samples; ++sample) {
    number(request, at);
    requests.push_back(request);
  }
  return requests;
}

bool use_reply(const TeacherReply& reply, TraceRow& row) {
  const std::optional<Flaw> flaw = flaw_of(reply);
  if (flaw) end_with(*flaw, row);
  return !flaw;
}

void take_replies(const AskStep& step, const std::vector<TeacherReply>& replies, TraceRow& row) {
  const bool alone = replies.size() == 1 && step.each.empty();
  std::map<std::string, std::vector<std::string>> fields;
  std::optional<Flaw> flaw;
  std::size_t used = 0;
  for (const TeacherReply& reply : replies) {
    Sections sections;
    const std::optional<Flaw> found = read_reply(step, reply, sections);
    if (found && (!flaw || found->reason == kNotAnswered)) flaw = found;
    used += found ? 0 : 1;
    for (std::size_t i = 0; i <= step.tags.size(); ++i) {
      const std::string& tag = i == 0 ? step.into : step.tags[i - 1];
      const std::string name = tag.ends_with('?') ? tag.substr(0, tag.size() - 1) : tag;
      fields[name].push_back(found ? "" : sections[i].second);
    }
  }
  // A reply that is still to come must not be missing from a list.
  const bool keep = used != 0 || step.otherwise == "keep";
  if (flaw && (!keep || flaw->reason == kNotAnswered)) return end_with(*flaw, row);
  if (step.read == "lines" && alone) fields[step.into] = listed_lines(replies[0].text);
  for (auto& [name, values] : fields) row.fields[name] = std::move(values);
  if (!step.conversation.empty()) {
    row.conversations[step.conversation].push_back({"assistant", replies[0].text});
  }
}

void take_replies(const JudgeStep& step, const std::vector<TeacherReply>& replies, TraceRow& row) {
  const std::string& text = replies.at(0).text;
  if (!use_reply(replies[0], row)) return;
  double sum = 0, lowest = static_cast<double>(step.scale);
  Json marks;
  for (const auto& [name, meaning] : step.rubric) {
    const std::optional<double> mark = mark_in(text, name);
    if (!mark || !(*mark >= 1 && *mark <= static_cast<double>(step.scale))) {
      return row.reject("unreadable_marks",
                        fmt::format("no mark from 1 to {} for {}", step.scale, name));
    }
    marks[name] = *mark;
    sum += *mark;
    lowest = std::min(lowest, *mark);
  }
  const bool passed = lowest >= step.at_least;
  row.lineage["marks"][step.into] = std::move(marks);
  row.fields[step.into] = {passed ? "pass" : "fail"};
  row.fields[step.into + "_score"] = {
      fmt::format("{:.3g}", sum / static_cast<double>(step.rubric.size()))};
  row.fields[step.into + "_text"] = {std::string(trimmed(text))};
  if (!passed && step.otherwise == "reject") {
    row.reject("low_marks", row.lineage["marks"][step.into].dump());
  }
}

}  // namespace reflect
