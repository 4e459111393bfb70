// What one answer is worth: its output, whether that is right, and how the text is formed.
#pragma once

#include <string>
#include <vector>

#include "evaluate/answer_store.h"
#include "evaluate/problems.h"
#include "reflect/tasks/checker.h"

namespace reflect {

struct Grade {
  bool right = false;
  std::string reason;      // the checker's, or "no_output"
  std::string output;      // what was graded: the text of <output>
  std::string normalized;  // the output as the checker understood it
  bool has_output = false;
  bool by_fallback = false;  // taken from the end of a text without <output>
  int reflections = 0;
  std::vector<std::string> issues;  // names of TraceIssue, each once
};

// `fallback`: where a text has no <output>, its final answer ("#### 42", "A: 42") is graded.
Grade grade(const Answer& answer, const Problem& problem, const Checker& checker, bool fallback);

}  // namespace reflect
