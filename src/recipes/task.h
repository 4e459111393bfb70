// A problem with all that is known about it, and one solution of it on its way through a recipe.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "recipes/corruption.h"
#include "reflect/data/record.h"
#include "reflect/recipes/error_profile.h"
#include "reflect/tasks/procedural.h"

namespace reflect {

// A solution as somebody wrote it.
struct Solution {
  std::string source;                  // who: "175b_verification", "draw-2", "recorded"
  std::string reply;                   // the whole text as it came
  std::vector<std::string> steps;      // its lines without the final answer
  std::string output;                  // the final answer; empty where there is none
  std::optional<std::size_t> mistake;  // the first wrong step, marked by a person
  std::optional<bool> marked_right;    // what the file says of its answer
};

struct SourceTask {
  Record problem;           // id, user message, gold answer
  std::uint64_t place = 0;  // in the source; keys everything random about it
  std::vector<std::string> gold_steps;
  std::vector<Solution> solutions;
  std::optional<Program> program;  // where the steps are executable
  const Family* family = nullptr;  // of the program
  std::string refused;             // why the problem cannot be used; empty: it can
  bool not_meant = false;          // refused because it is not asked for, not because it is bad
};

// Where the first wrong step of a solution is. Step and value are not known of a whole attempt.
struct MistakePlace {
  std::optional<std::size_t> step;
  Proof proof = Proof::kNone;
  std::string left, right_value, wrong_value;  // of the wrong equation, where it is known
};

// What has become of a row.
enum class Fate { kUnderWay, kAccepted, kRejected, kNotUsed };

struct TraceError {
  int round;
  std::string kind;
  Proof proof;
  std::optional<std::size_t> step;  // of the solution or the program, where it is known
  std::size_t noticed_after = 0;    // further steps between the mistake and its reflection
  std::optional<StepPlace> place = std::nullopt;  // among all steps, where it is known
  std::string told_kind = "";                     // of a recorded mistake, by its wrong equation
};

// What an assembled row has instead of its problem's.
struct AssembledRow {
  std::string variant;
  std::optional<std::string> system, prompt, answer;
};

struct TraceRow {
  std::shared_ptr<const SourceTask> task;
  std::uint64_t attempt = 0;  // at the problem
  Solution solution;
  bool right_at_once = false;  // a right solution among wrong ones: taken up to clean_fraction
  std::optional<MistakePlace> mistake;
  std::string response;
  std::vector<Span> spans;
  std::vector<TraceError> errors;
  RedrawCounts redrawn{};
  std::string flawed;  // how it would have gone on without noticing, where pairs are written

  std::map<std::string, std::vector<std::string>> fields;  // made by steps; a text is a list of one
  std::map<std::string, std::vector<Message>> conversations;
  std::map<std::size_t, std::uint64_t> asked;   // requests so far, by step
  std::map<std::size_t, std::string> distinct;  // texts that no other row may repeat, by step
  std::optional<AssembledRow> assembled;
  Json lineage;  // null, or what steps add to it

  Fate fate = Fate::kUnderWay;
  std::string reason;  // code of the rejection, or of not being used
  std::string detail;
  std::string at_step;

  void end(Fate how, std::string code, std::string more = "") {
    fate = how;
    reason = std::move(code);
    detail = std::move(more);
  }
  void reject(std::string code, std::string more = "") {
    end(Fate::kRejected, std::move(code), std::move(more));
  }
};

// The row's name among those of its problem; empty where there is only one.
inline const std::string& variant_of(const TraceRow& row) {
  const bool named = row.assembled && !row.assembled->variant.empty();
  return named ? row.assembled->variant : row.solution.source;
}

// What the row asks and the right answer to it: its problem's, or what it was assembled with.
inline const std::string& prompt_of(const TraceRow& row) {
  const bool own = row.assembled && row.assembled->prompt;
  return own ? *row.assembled->prompt : row.task->problem.prompt();
}
inline const std::optional<std::string>& answer_of(const TraceRow& row) {
  const bool own = row.assembled && row.assembled->answer;
  return own ? row.assembled->answer : row.task->problem.answer;
}

}  // namespace reflect
