#include "evaluate/summary.h"

#include "evaluate/answering.h"

namespace reflect {
namespace {

double share_right(const std::vector<GradedAnswer>& answers) {
  double right = 0;
  for (const GradedAnswer& answer : answers) right += answer.grade.right ? 1 : 0;
  return right / static_cast<double>(answers.size());
}

// Whether the most frequent output is right; of equally frequent ones the first drawn counts.
bool majority_right(const std::vector<GradedAnswer>& answers) {
  const auto ballot = [](const Grade& grade) {
    return grade.normalized.empty() ? grade.output : grade.normalized;
  };
  std::map<std::string, std::int64_t> votes;
  for (const GradedAnswer& answer : answers) ++votes[ballot(answer.grade)];
  const Grade* winner = &answers.front().grade;
  for (const GradedAnswer& answer : answers) {
    if (votes[ballot(answer.grade)] > votes[ballot(*winner)]) winner = &answer.grade;
  }
  return winner->right;
}

Accuracy accuracy_of(const std::vector<double>& shares, bool one_answer_each,
                     const SummaryOptions& options) {
  Accuracy accuracy;
  accuracy.value = mean_of(shares);
  accuracy.problems = static_cast<std::int64_t>(shares.size());
  if (one_answer_each) {
    std::int64_t right = 0;
    for (const double share : shares) right += share > 0.5 ? 1 : 0;
    accuracy.interval = wilson_interval(right, accuracy.problems);
  } else {
    accuracy.interval = bootstrap_mean_interval(shares, options.bootstrap_resamples, options.seed);
  }
  return accuracy;
}

void count(const GradedAnswer& graded, ArmSummary& summary) {
  ++summary.answers;
  summary.right += graded.grade.right ? 1 : 0;
  summary.prompt_tokens += graded.answer.prompt_tokens;
  summary.new_tokens += graded.answer.new_tokens;
  summary.reflections += graded.grade.reflections;
  summary.with_reflection += graded.grade.reflections > 0 ? 1 : 0;
  summary.without_output += graded.grade.has_output ? 0 : 1;
  summary.by_fallback += graded.grade.by_fallback ? 1 : 0;
  ++summary.finishes[graded.answer.finish];
  for (const std::string& issue : graded.grade.issues) ++summary.issues[issue];
}

void count(const GradedAnswer& draft, const GradedAnswer& final, DraftSummary& summary) {
  const bool was_right = draft.grade.right;
  const bool is_right = final.grade.right;
  ++summary.answers;
  if (!forced_draft(final.answer.response)) {
    ++(is_right ? summary.let_pass : summary.missed);
    return;
  }
  ++summary.reflected;
  if (was_right) {
    ++(is_right ? summary.stayed_right : summary.broke);
  } else {
    ++(is_right ? summary.repaired : summary.stayed_wrong);
  }
}

}  // namespace

ArmSummary summarize_arm(const ArmAnswers& arm, const std::vector<Problem>& problems,
                         const SummaryOptions& options) {
  ArmSummary summary;
  summary.name = arm.arm.name;
  std::vector<double> shares;
  std::map<std::string, std::vector<double>> shares_of_group;
  double majority = 0;
  for (std::size_t p = 0; p < problems.size(); ++p) {
    for (const GradedAnswer& graded : arm.of_problem[p]) count(graded, summary);
    shares.push_back(share_right(arm.of_problem[p]));
    if (!problems[p].group.empty()) shares_of_group[problems[p].group].push_back(shares.back());
    majority += majority_right(arm.of_problem[p]) ? 1 : 0;
  }
  const bool one_answer_each = arm.of_problem.front().size() == 1;
  summary.accuracy = accuracy_of(shares, one_answer_each, options);
  for (const auto& [group, group_shares] : shares_of_group) {
    summary.of_group[group] = accuracy_of(group_shares, one_answer_each, options);
  }
  summary.majority_accuracy = majority / static_cast<double>(problems.size());
  return summary;
}

PairSummary compare_arms(const ArmAnswers& first, const ArmAnswers& second,
                         const SummaryOptions& options) {
  PairSummary pair;
  pair.first = first.arm.name;
  pair.second = second.arm.name;
  std::vector<double> differences;
  for (std::size_t p = 0; p < first.of_problem.size(); ++p) {
    differences.push_back(share_right(second.of_problem[p]) - share_right(first.of_problem[p]));
    const bool before = majority_right(first.of_problem[p]);
    const bool after = majority_right(second.of_problem[p]);
    pair.gained += !before && after ? 1 : 0;
    pair.lost += before && !after ? 1 : 0;
  }
  pair.difference = mean_of(differences);
  pair.interval = bootstrap_mean_interval(differences, options.bootstrap_resamples, options.seed);
  pair.p = mcnemar_exact_p(pair.gained, pair.lost);
  return pair;
}

DraftSummary compare_draft(const ArmAnswers& draft, const ArmAnswers& final,
                           const ArmAnswers* base) {
  DraftSummary summary;
  summary.draft = draft.arm.name;
  summary.final = final.arm.name;
  if (base != nullptr) summary.base = base->arm.name;
  for (std::size_t p = 0; p < draft.of_problem.size(); ++p) {
    for (std::size_t sample = 0; sample < draft.of_problem[p].size(); ++sample) {
      const GradedAnswer& before = draft.of_problem[p][sample];
      const GradedAnswer& after = final.of_problem[p][sample];
      count(before, after, summary);
      if (base == nullptr || !base->of_problem[p][sample].grade.right) continue;
      ++summary.base_right;
      if (forced_draft(after.answer.response) && !before.grade.right) ++summary.erred_first;
    }
  }
  return summary;
}

}  // namespace reflect
