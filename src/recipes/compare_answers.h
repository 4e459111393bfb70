// Answers against the gold answer in a recipe's steps: by a checker, or by a model that judges.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "recipes/ask.h"
#include "reflect/tasks/checker.h"

namespace reflect {

inline constexpr std::string_view kJudge = "judge";  // in the place of a checker's name

// What is compared. Answers that are empty are asked about by nobody: they are wrong ("empty").
struct Comparison {
  std::vector<std::string> answers;
  std::string gold;
};

// One request for each answer that is not empty. The prompt is the step's, else one that asks for a
// last line "verdict: right" or "verdict: wrong"; {{item}} is the answer, {{against}} the gold one.
std::vector<TeacherRequest> judge_requests(const Asking& asking, const AskingRow& at,
                                           const Comparison& comparison);

// Of each answer. `replies` are those to judge_requests where `checker` is "judge". Ends the row
// ("unreadable_verdict" or what use_reply says) and returns nothing where a reply gives no verdict.
std::optional<std::vector<Verdict>> compare(const std::string& checker,
                                            const Comparison& comparison,
                                            const std::vector<TeacherReply>& replies,
                                            TraceRow& row);

// The last line "verdict: right" (correct, yes, true, same, equivalent) or "verdict: wrong"
// (incorrect, no, false, different), in any case and decoration; else a last line that is one of
// these words alone.
std::optional<bool> verdict_in(std::string_view reply);

}  // namespace reflect
