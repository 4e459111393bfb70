#include "reflect/data/trace.h"

#include <algorithm>
#include <array>
#include <utility>

#include "reflect/base/error.h"
#include "reflect/base/white_space.h"

namespace reflect {
namespace {

constexpr std::array<std::string_view, 6> kSpanNames = {"format",     "thinking",   "error",
                                                        "reflection", "correction", "output"};
constexpr std::array<std::string_view, 4> kProofNames = {"none", "executed", "annotated", "judged"};
constexpr std::array<std::string_view, 8> kIssueNames = {
    "no_thinking",   "no_output",    "unclosed_tag", "unopened_tag",
    "wrong_nesting", "repeated_tag", "empty_tag",    "text_outside_tags"};

template <class Enum, std::size_t N>
std::optional<Enum> value_named(const std::array<std::string_view, N>& names,
                                std::string_view name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return std::nullopt;
  return static_cast<Enum>(found - names.begin());
}

enum class Section { kThinking, kReflection, kOutput };

struct Tag {
  Section section;
  bool closing;
  std::string_view text;
};

constexpr std::array<Tag, 6> kTags = {{{Section::kThinking, false, "<thinking>"},
                                       {Section::kThinking, true, "</thinking>"},
                                       {Section::kReflection, false, "<reflection>"},
                                       {Section::kReflection, true, "</reflection>"},
                                       {Section::kOutput, false, "<output>"},
                                       {Section::kOutput, true, "</output>"}}};

const Tag* tag_at(std::string_view text, std::size_t offset) {
  for (const Tag& tag : kTags) {
    if (text.substr(offset).starts_with(tag.text)) return &tag;
  }
  return nullptr;
}

struct TagPlace {
  const Tag* tag;  // nullptr: the end of the text
  std::size_t offset;
};

TagPlace next_tag(std::string_view text, std::size_t from) {
  for (std::size_t at = text.find('<', from); at != text.npos; at = text.find('<', at + 1)) {
    if (const Tag* tag = tag_at(text, at)) return {tag, at};
  }
  return {nullptr, text.size()};
}

// Adds a span; it joins the one before when both say the same.
void append_span(std::vector<Span>& spans, const Span& span) {
  if (span.begin == span.end) return;
  if (!spans.empty()) {
    Span& last = spans.back();
    if (last.type == span.type && last.round == span.round && last.proof == span.proof) {
      last.end = span.end;
      return;
    }
  }
  spans.push_back(span);
}

// Follows the tags with a stack of the open ones; every byte goes to the innermost open section.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Trace parse() {
    std::size_t at = 0;
    while (true) {
      const TagPlace next = next_tag(text_, at);
      add_text(at, next);
      if (next.tag == nullptr) break;
      at = next.offset + next.tag->text.size();
      if (next.tag->closing) {
        close(*next.tag, next.offset);
      } else {
        open(*next.tag, next.offset);
      }
      append_span(trace_.spans, {SpanType::kFormat, next.offset, at});
    }
    for (const OpenTag& open : open_) problem(TraceIssue::kUnclosedTag, open.offset);
    if (count(Section::kThinking) == 0) problem(TraceIssue::kNoThinking, 0);
    if (count(Section::kOutput) == 0) problem(TraceIssue::kNoOutput, text_.size());
    std::stable_sort(trace_.problems.begin(), trace_.problems.end(),
                     [](const auto& a, const auto& b) { return a.offset < b.offset; });
    return std::move(trace_);
  }

 private:
  struct OpenTag {
    Section section;
    std::size_t offset;
    std::size_t content;  // first byte after the tag
  };

  void problem(TraceIssue issue, std::size_t offset) { trace_.problems.push_back({issue, offset}); }
  bool inside(Section section) const { return !open_.empty() && open_.back().section == section; }
  // How many tags have opened the section.
  int& count(Section section) { return counts_[static_cast<std::size_t>(section)]; }
  // How many of them are open.
  int& unclosed(Section section) { return unclosed_[static_cast<std::size_t>(section)]; }

  void add_text(std::size_t begin, const TagPlace& next) {
    const std::size_t end = next.offset;
    if (inside(Section::kThinking)) {
      add_thinking(begin, next);
    } else if (inside(Section::kReflection)) {
      append_span(trace_.spans, {SpanType::kReflection, begin, end, count(Section::kReflection)});
    } else if (inside(Section::kOutput)) {
      append_span(trace_.spans, {SpanType::kOutput, begin, end});
    } else {
      const std::size_t first = text_.find_first_not_of(kWhiteSpace, begin);
      if (first < end) problem(TraceIssue::kTextOutsideTags, first);
      append_span(trace_.spans, {SpanType::kFormat, begin, end});
    }
  }

  // A newline next to a thinking tag belongs to the tag.
  void add_thinking(std::size_t begin, const TagPlace& next) {
    const bool before_close =
        next.tag != nullptr && next.tag->closing && next.tag->section == Section::kThinking;
    std::size_t from = begin;
    std::size_t to = next.offset;
    if (begin == open_.back().content && from < to && text_[from] == '\n') ++from;
    if (before_close && from < to && text_[to - 1] == '\n') --to;
    append_span(trace_.spans, {SpanType::kFormat, begin, from});
    append_span(trace_.spans, {SpanType::kThinking, from, to});
    append_span(trace_.spans, {SpanType::kFormat, to, next.offset});
  }

  void open(const Tag& tag, std::size_t offset) {
    const bool repeated = tag.section != Section::kReflection && count(tag.section) > 0;
    const bool in_place = tag.section == Section::kReflection ? inside(Section::kThinking)
                          : tag.section == Section::kThinking
                              ? open_.empty() && count(Section::kOutput) == 0
                              : open_.empty();
    if (repeated) {
      problem(TraceIssue::kRepeatedTag, offset);
    } else if (!in_place) {
      problem(TraceIssue::kWrongNesting, offset);
    }
    ++count(tag.section);
    ++unclosed(tag.section);
    open_.push_back({tag.section, offset, offset + tag.text.size()});
  }

  OpenTag pop() {
    const OpenTag open = open_.back();
    open_.pop_back();
    --unclosed(open.section);
    return open;
  }

  void close(const Tag& tag, std::size_t offset) {
    if (unclosed(tag.section) == 0) {
      problem(TraceIssue::kUnopenedTag, offset);
      return;
    }
    OpenTag open = pop();
    for (; open.section != tag.section; open = pop()) {
      problem(TraceIssue::kUnclosedTag, open.offset);
    }
    const std::string_view content = trimmed(text_.substr(open.content, offset - open.content));
    if (content.empty()) problem(TraceIssue::kEmptyTag, open.offset);
    if (tag.section == Section::kOutput && trace_.output.empty()) trace_.output = content;
  }

  std::string_view text_;
  Trace trace_;
  std::vector<OpenTag> open_;
  std::array<int, 3> counts_ = {};
  std::array<int, 3> unclosed_ = {};
};

// The spans as a parser sees them: errors and corrections are thinking.
std::vector<Span> as_parsed(const std::vector<Span>& spans) {
  std::vector<Span> parsed;
  for (const Span& span : spans) {
    const bool untagged = span.type == SpanType::kError || span.type == SpanType::kCorrection;
    append_span(parsed, untagged ? Span{SpanType::kThinking, span.begin, span.end} : span);
  }
  return parsed;
}

std::optional<std::string> check_cover(const std::vector<Span>& spans, std::size_t size) {
  std::size_t at = 0;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    if (spans[i].begin != at || spans[i].end <= at || spans[i].end > size) {
      return fmt::format(
          "span {} covers bytes [{}, {}), expected a start at {} and an end up to {}", i,
          spans[i].begin, spans[i].end, at, size);
    }
    at = spans[i].end;
  }
  if (at != size) return fmt::format("spans end at byte {} of {}", at, size);
  return std::nullopt;
}

// A round's error comes before its reflection and its correction after, at most one of each.
std::optional<std::string> check_rounds(const std::vector<Span>& spans, int reflections) {
  const std::size_t rounds = static_cast<std::size_t>(reflections) + 1;
  std::vector<bool> has_error(rounds), has_reflection(rounds), has_correction(rounds);
  for (const Span& span : spans) {
    if (span.type != SpanType::kError && span.proof != Proof::kNone) {
      return fmt::format("the {} span at byte {} has a proof", name_of(span.type), span.begin);
    }
    if (span.round < 0 || span.round > reflections) {
      return fmt::format("the {} span at byte {} has round {} of {}", name_of(span.type),
                         span.begin, span.round, reflections);
    }
    const std::size_t round = static_cast<std::size_t>(span.round);
    if (span.type == SpanType::kReflection) has_reflection[round] = true;
    if (span.type == SpanType::kError && round > 0) {
      if (has_error[round] || has_reflection[round]) {
        return fmt::format("round {} has a second or late error at byte {}", round, span.begin);
      }
      has_error[round] = true;
    }
    if (span.type == SpanType::kCorrection) {
      if (has_correction[round] || !has_reflection[round]) {
        return fmt::format("round {} has a second or early correction at byte {}", round,
                           span.begin);
      }
      has_correction[round] = true;
    }
  }
  return std::nullopt;
}

void require_no_tag(std::string_view text) {
  const TagPlace place = next_tag(text, 0);
  if (place.tag != nullptr) {
    fail("trace", "text holds the tag {} at byte {}; reject it or write it another way",
         place.tag->text, place.offset);
  }
}

}  // namespace

std::string_view name_of(SpanType type) {
  return kSpanNames.at(static_cast<std::size_t>(type));
}
std::string_view name_of(Proof proof) {
  return kProofNames.at(static_cast<std::size_t>(proof));
}
std::string_view name_of(TraceIssue issue) {
  return kIssueNames.at(static_cast<std::size_t>(issue));
}
std::optional<SpanType> span_type_named(std::string_view name) {
  return value_named<SpanType>(kSpanNames, name);
}
std::optional<Proof> proof_named(std::string_view name) {
  return value_named<Proof>(kProofNames, name);
}

int Trace::reflections() const {
  int highest = 0;
  for (const Span& span : spans) highest = std::max(highest, span.round);
  return highest;
}

Trace parse_trace(std::string_view response) {
  return Parser(response).parse();
}

std::optional<std::string> check_spans(std::string_view response, const std::vector<Span>& spans) {
  if (auto reason = check_cover(spans, response.size())) return reason;
  const Trace trace = parse_trace(response);
  if (!trace.ok()) {
    return fmt::format("the response does not parse: {} at byte {}",
                       name_of(trace.problems[0].issue), trace.problems[0].offset);
  }
  if (auto reason = check_rounds(spans, trace.reflections())) return reason;
  const std::vector<Span> parsed = as_parsed(spans);
  const auto [ours, theirs] =
      std::mismatch(parsed.begin(), parsed.end(), trace.spans.begin(), trace.spans.end());
  if (ours == parsed.end()) return std::nullopt;
  return fmt::format("bytes [{}, {}) are {} of round {}, the tags say {} of round {} for [{}, {})",
                     ours->begin, ours->end, name_of(ours->type), ours->round,
                     name_of(theirs->type), theirs->round, theirs->begin, theirs->end);
}

TraceBuilder::TraceBuilder() {
  add(SpanType::kFormat, "<thinking>\n");
}

void TraceBuilder::thinking(std::string_view text) {
  add_text(SpanType::kThinking, text);
}

void TraceBuilder::error(std::string_view text, int round, Proof proof) {
  add_text(SpanType::kError, text, round, proof);
}

void TraceBuilder::reflection(std::string_view text, int round) {
  add(SpanType::kFormat, "<reflection>");
  add_text(SpanType::kReflection, text, round);
  add(SpanType::kFormat, "</reflection>");
}

void TraceBuilder::correction(std::string_view text, int round) {
  add_text(SpanType::kCorrection, text, round);
}

void TraceBuilder::output(std::string_view text) {
  if (text_.ends_with('\n') && spans_.back().type != SpanType::kFormat) {
    text_.pop_back();
    if (--spans_.back().end == spans_.back().begin) spans_.pop_back();
  }
  add(SpanType::kFormat, "\n</thinking>\n<output>");
  add_text(SpanType::kOutput, text);
  add(SpanType::kFormat, "</output>");
  if (const auto reason = check_spans(text_, spans_)) {
    fail("trace", "a built trace is not valid: {}", *reason);
  }
}

void TraceBuilder::add_text(SpanType type, std::string_view text, int round, Proof proof) {
  require_no_tag(text);
  add(type, text, round, proof);
}

void TraceBuilder::add(SpanType type, std::string_view text, int round, Proof proof) {
  const std::size_t begin = text_.size();
  text_ += text;
  append_span(spans_, {type, begin, text_.size(), round, proof});
}

}  // namespace reflect
