// Steps that decide by what a row has: check, vote, choose, pick, require; and the one that writes
// it.
#pragma once

#include <vector>

#include "recipes/compare_answers.h"
#include "recipes/fields.h"
#include "recipes/task.h"
#include "reflect/base/random.h"
#include "reflect/recipes/recipe.h"

namespace reflect {

// What the step compares; the gold answer is empty where there is none.
Comparison comparison_of(const CheckStep& step, const Recipe& recipe, const TraceRow& row);
// `replies`: the judge's, to its requests. Reasons: "no_gold_answer", "wrong_answer",
// "unreadable_verdict".
void check(const CheckStep& step, const Recipe& recipe, const std::vector<TeacherReply>& replies,
           TraceRow& row);
// "no_answers", "no_majority". The earliest of equally frequent answers wins.
void vote(const VoteStep& step, const Recipe& recipe, TraceRow& row);
// "no_scores", "low_score".
void choose(const ChooseStep& step, const Recipe& recipe, TraceRow& row);
// "empty_list".
void pick(const PickStep& step, const Recipe& recipe, TraceRow& row, Random random);
// "not_as_required", "too_short", "too_long", "other_language".
void require(const RequireStep& step, const Recipe& recipe, TraceRow& row);
// Notes the text by which the row must differ from others.
void mark_distinct(const DistinctStep& step, std::size_t number, const Recipe& recipe,
                   TraceRow& row);

// The rows of the step, each with its response and, where its tags are a trace's, the spans.
std::vector<TraceRow> assemble(const AssembleStep& step, const Recipe& recipe, const TraceRow& row);

}  // namespace reflect
