// A reasoning trace: its text forms, the typed spans in it, and the parser that finds them.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace reflect {

enum class SpanType { kFormat, kThinking, kError, kReflection, kCorrection, kOutput };
enum class Proof { kNone, kExecuted, kAnnotated, kJudged };

// Bytes [begin, end) of a response. Spans are sorted, do not overlap and cover the response.
// `round` (from 1; 0: none) ties an error to its reflection and its correction.
struct Span {
  SpanType type;
  std::size_t begin;
  std::size_t end;
  int round = 0;
  Proof proof = Proof::kNone;
  bool operator==(const Span&) const = default;
};

std::string_view name_of(SpanType type);
std::string_view name_of(Proof proof);
std::optional<SpanType> span_type_named(std::string_view name);
std::optional<Proof> proof_named(std::string_view name);

enum class TraceIssue {
  kNoThinking,       // no <thinking> ... </thinking>
  kNoOutput,         // no <output> ... </output>
  kUnclosedTag,      // an opening tag without its end
  kUnopenedTag,      // a closing tag without its start
  kWrongNesting,     // a tag inside one that may not hold it, or <thinking> after <output>
  kRepeatedTag,      // a second <thinking> or <output>
  kEmptyTag,         // nothing but white space inside
  kTextOutsideTags,  // text before, between or after the sections
};
std::string_view name_of(TraceIssue issue);  // "no_thinking", ...

struct TraceProblem {
  TraceIssue issue;
  std::size_t offset;  // byte in the response; its size for kNoOutput
};

// What the tags say; errors and corrections are not tagged, so they are not found here: text of
// the thinking section is kThinking, reflections are numbered in order.
struct Trace {
  std::vector<Span> spans;             // always covers the response; neighbours of one kind joined
  std::vector<TraceProblem> problems;  // sorted by offset
  std::string output;                  // of the first closed <output>, trimmed, problems or not
  bool ok() const { return problems.empty(); }
  int reflections() const;
};

// Parses  <thinking> text (<reflection> text </reflection> text)* </thinking> <output> text
// </output>, with white space (ASCII) before, between and after the two sections. kFormat are the
// tags, that white space, and one newline directly after <thinking> and before </thinking>; all
// else has its section's type. Tags are case-sensitive and hold no white space. Never throws and
// repairs nothing: malformed input gives problems.
Trace parse_trace(std::string_view response);

// Whether `spans` (with errors and corrections) say the same as the tags of `response`: sorted,
// covering, tags where format spans are, every reflection where the parser finds it and with its
// round, every round with at most one error before its reflection and one correction after, proofs
// on errors only. An error of round 0 is one that no reflection notices. Returns the reason if not.
std::optional<std::string> check_spans(std::string_view response, const std::vector<Span>& spans);

// Builds the text of a trace and its spans side by side. Empty text adds nothing; text with a tag
// in it is an Error, and `output` throws Error when the whole does not pass check_spans.
class TraceBuilder {
 public:
  TraceBuilder();  // opens <thinking>
  void thinking(std::string_view text);
  void error(std::string_view text, int round, Proof proof);
  void reflection(std::string_view text, int round);  // with its tags; rounds come as 1, 2, 3 ...
  void correction(std::string_view text, int round);
  // Closes <thinking> on a line of its own (a newline at the end of the text so far serves for it)
  // and writes <output>text</output>.
  void output(std::string_view text);
  const std::string& text() const { return text_; }
  const std::vector<Span>& spans() const { return spans_; }

 private:
  void add_text(SpanType type, std::string_view text, int round = 0, Proof proof = Proof::kNone);
  void add(SpanType type, std::string_view text, int round = 0, Proof proof = Proof::kNone);
  std::string text_;
  std::vector<Span> spans_;
};

}  // namespace reflect
