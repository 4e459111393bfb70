// What the graded answers of a run add up to: per arm, between arms, and draft against final.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "evaluate/grade.h"
#include "reflect/evaluate/evaluate.h"
#include "reflect/evaluate/statistics.h"

namespace reflect {

struct GradedAnswer {
  Answer answer;
  Grade grade;
};

// All answers of one arm: by problem, then by sample.
struct ArmAnswers {
  ArmConfig arm;
  std::vector<std::vector<GradedAnswer>> of_problem;
};

// A share of problems. With one answer a problem the interval is Wilson's; with several, `value` is
// pass@1 averaged and the interval a bootstrap over problems.
struct Accuracy {
  double value = 0;
  Interval interval;
  std::int64_t problems = 0;
};

struct ArmSummary {
  std::string name;
  Accuracy accuracy;
  std::map<std::string, Accuracy> of_group;
  double majority_accuracy = 0;  // of the most frequent output; of equal ones the first drawn
  std::int64_t answers = 0;
  std::int64_t right = 0;
  std::int64_t prompt_tokens = 0;
  std::int64_t new_tokens = 0;
  std::int64_t reflections = 0;
  std::int64_t with_reflection = 0;
  std::int64_t without_output = 0;
  std::int64_t by_fallback = 0;
  std::map<std::string, std::int64_t> finishes;
  std::map<std::string, std::int64_t> issues;  // answers that have the issue
};

// The second arm minus the first on the same problems.
struct PairSummary {
  std::string first, second;
  double difference = 0;
  Interval interval;        // paired bootstrap
  std::int64_t gained = 0;  // majority output right in the second arm only
  std::int64_t lost = 0;    // right in the first only
  double p = 1;             // McNemar's exact test on gained and lost
};

// A free arm against its draft, counted by answers.
struct DraftSummary {
  std::string draft, final;
  std::int64_t answers = 0;
  std::int64_t reflected = 0;
  std::int64_t repaired = 0;      // reflected: wrong to right
  std::int64_t broke = 0;         // reflected: right to wrong
  std::int64_t stayed_right = 0;  // reflected, right before and after: a false alarm
  std::int64_t stayed_wrong = 0;
  std::int64_t missed = 0;    // did not reflect, wrong
  std::int64_t let_pass = 0;  // did not reflect, right
  std::string base;           // the arm that the next two look at; empty: there is none
  std::int64_t base_right = 0;
  std::int64_t erred_first = 0;  // of those, the draft is wrong and a reflection follows
};

struct SummaryOptions {
  std::int64_t bootstrap_resamples = 10000;
  std::uint64_t seed = 0;
};

ArmSummary summarize_arm(const ArmAnswers& arm, const std::vector<Problem>& problems,
                         const SummaryOptions& options);
PairSummary compare_arms(const ArmAnswers& first, const ArmAnswers& second,
                         const SummaryOptions& options);
// `base` may be null.
DraftSummary compare_draft(const ArmAnswers& draft, const ArmAnswers& final,
                           const ArmAnswers* base);

}  // namespace reflect
