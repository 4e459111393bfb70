// What rows ask of models, and what becomes of the replies.
#pragma once

#include <cstdint>
#include <vector>

#include "recipes/fields.h"
#include "recipes/task.h"
#include "reflect/recipes/recipe.h"
#include "reflect/recipes/teacher.h"

namespace reflect {

// A row at a step that asks.
struct AskingRow {
  const Recipe& recipe;
  std::size_t step;                // index in the recipe
  const SamplingConfig& sampling;  // of the teacher
  std::int64_t samples;            // of the teacher
  std::uint64_t seed;              // of the run
  TraceRow& row;
};

// The requests of the row at this step, in order; none where a list to ask about is empty. Draws
// are numbered by the row's attempt and by how many requests it has made at the step before, so
// that a prompt that comes again is drawn anew and one that is asked again in a later run is not.
std::vector<TeacherRequest> requests_of(const AskStep& step, AskingRow at);
std::vector<TeacherRequest> requests_of(const JudgeStep& step, AskingRow at);
std::vector<TeacherRequest> requests_of(const DrawStep& step, AskingRow at);

// One request of a step, its draw numbered; `more` are fields of this text alone.
TeacherRequest numbered_request(const Asking& asking, const AskingRow& at,
                                const TemplateFields& more);

// Puts replies into fields. One reply that cannot be used ends the row with its reason ("refused",
// "cut_off", "empty_reply", "no_<tag>", ...); of several such a reply leaves an empty element, and
// the row ends when none is left.
void take_replies(const AskStep& step, const std::vector<TeacherReply>& replies, TraceRow& row);
void take_replies(const JudgeStep& step, const std::vector<TeacherReply>& replies, TraceRow& row);

// Ends the row where the reply cannot be used; returns whether it can.
bool use_reply(const TeacherReply& reply, TraceRow& row);

// The reason of rows whose request failed but may succeed in a later run.
inline constexpr std::string_view kNotAnswered = "not_answered";

}  // namespace reflect
