#include "recipes/compare_answers.h"

#include <algorithm>
#include <array>

#include "recipes/text_pieces.h"
#include "reflect/base/error.h"
#include "reflect/base/white_space.h"

namespace reflect {
namespace {

constexpr std::string_view kQuestion = R"(Problem:
{{problem}}

Right answer:
{{against}}

Answer to judge:
{{item}}

Does the answer to judge say the same as the right answer? How it is worded does not matter, what
it says does. Give the reason in a sentence or two, then end with one line: "verdict: right" or
"verdict: wrong".)";

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return result;
}

// Takes off what marks a word: **right**, "right", `right`., - right.
std::string_view bare(std::string_view text) {
  constexpr std::string_view kMarks = " \t\r*_`\"'.:!#-<>[]()";
  const std::size_t begin = text.find_first_not_of(kMarks);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(kMarks) + 1 - begin);
}

std::optional<bool> verdict_of_word(std::string_view word) {
  constexpr std::array<std::string_view, 6> right = {"right", "correct", "yes",
                                                     "true",  "same",    "equivalent"};
  constexpr std::array<std::string_view, 5> wrong = {"wrong", "incorrect", "no", "false",
                                                     "different"};
  if (std::ranges::find(right, word) != right.end()) return true;
  if (std::ranges::find(wrong, word) != wrong.end()) return false;
  return std::nullopt;
}

}  // namespace

std::optional<bool> verdict_in(std::string_view reply) {
  constexpr std::string_view kVerdict = "verdict";
  std::optional<bool> verdict;
  std::string last;
  for (const TextPiece& piece : lines_in(reply)) {
    const std::string line = lower(bare(piece.in(reply)));
    if (line.empty()) continue;
    last = line;
    if (!line.starts_with(kVerdict)) continue;
    verdict = verdict_of_word(bare(std::string_view(line).substr(kVerdict.size())));
  }
  return verdict ? verdict : verdict_of_word(last);
}

std::vector<TeacherRequest> judge_requests(const Asking& asking, const AskingRow& at,
                                           const Comparison& comparison) {
  Asking judge = asking;
  if (judge.prompt.empty()) judge.prompt = TextTemplate(kQuestion);
  std::vector<TeacherRequest> requests;
  if (comparison.gold.empty()) return requests;
  for (const std::string& answer : comparison.answers) {
    if (trimmed(answer).empty()) continue;
    requests.push_back(numbered_request(
        judge, at, {{"item", std::string(trimmed(answer))}, {"against", comparison.gold}}));
  }
  return requests;
}

std::optional<std::vector<Verdict>> compare(const std::string& checker,
                                            const Comparison& comparison,
                                            const std::vector<TeacherReply>& replies,
                                            TraceRow& row) {
  std::vector<Verdict> verdicts;
  if (checker != kJudge) {
    const Checker named = Checker::named(checker);
    for (const std::string& answer : comparison.answers) {
      verdicts.push_back(named.check(trimmed(answer), comparison.gold));
    }
    return verdicts;
  }
  auto reply = replies.begin();
  for (const std::string& answer : comparison.answers) {
    if (trimmed(answer).empty()) {
      verdicts.push_back({false, "empty", ""});
      continue;
    }
    if (reply == replies.end()) fail("recipe", "a judge's verdict is missing; this is a bug");
    if (!use_reply(*reply, row)) return std::nullopt;
    const std::optional<bool> right = verdict_in(reply->text);
    if (!right) {
      row.reject("unreadable_verdict", reply->text);
      return std::nullopt;
    }
    verdicts.push_back({*right, *right ? "right" : "wrong", ""});
    ++reply;
  }
  return verdicts;
}

}  // namespace reflect
