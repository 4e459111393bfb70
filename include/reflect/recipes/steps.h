// The kinds of steps that a recipe is made of, each with its settings. docs/recipes.md describes
// them.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "reflect/recipes/asking.h"
#include "reflect/recipes/error_profile.h"

namespace reflect {

// Takes solutions of the problem, recorded ones or such that a model is asked for; each goes on
// alone.
struct DrawStep {
  static constexpr std::string_view kKind = "draw";
  Asking asking;
  std::string from = "teacher";
  std::int64_t samples = 0;
  std::string keep = "wrong";
  std::string checker = "auto";
  double clean_fraction = 0;

  void visit(auto& v) {
    asking.visit(v);
    v("from", from, "The teacher, or what is recorded in the input whoever the teacher is.",
      {"teacher", "recorded"});
    v("samples", samples, "Solutions that a model is asked for; 0: the teacher's setting.");
    v("keep", keep, "Which solutions go on; unchecked: all, without a look at their answers.",
      {"wrong", "right", "any", "unchecked"});
    v("checker", checker, "How a solution's answer is compared with the gold answer.",
      checker_names());
    v("clean_fraction", clean_fraction,
      "With keep wrong: share of accepted rows that are right solutions as they came.");
  }
};

// Writes an executable solution with mistakes in it, each noticed and repaired.
struct CorruptStep {
  static constexpr std::string_view kKind = "corrupt";
  double q = 0.2;
  std::string form = "retry";
  std::vector<std::string> kinds;
  std::vector<std::string> notice_after = {"1"};
  double clean_fraction = 0;
  bool at_least_one = false;
  double max_too_early = 0.2;
  Wordings reflections;
  std::optional<ErrorProfile> profile;  // given with the run: where mistakes stand, and their kinds

  void visit(auto& v) {
    v("q", q, "Probability of a mistake before a step; too early attempts repeat with it.");
    v("form", form, "After a too early attempt: any step, or the missing one and so on down.",
      {"retry", "follow"});
    v("kinds", kinds, "Kinds of mistakes to draw from; empty: those that suit the problem family.");
    v("notice_after", notice_after,
      "Weights of noticing a mistake 0, 1, 2, ... further steps after it.");
    v("clean_fraction", clean_fraction,
      "Share of traces that get no mistake; others have none where q lets none happen.");
    v("at_least_one", at_least_one, "Every trace that is not one of these gets a mistake.");
    v("max_too_early", max_too_early,
      "Highest probability of a too early attempt before a step; more of them does not help.");
    v("reflections", reflections, "Texts that name the mistake, by kind.");
  }
};

// Finds the first wrong step of a wrong solution.
struct LocateStep {
  static constexpr std::string_view kKind = "locate";
  std::vector<std::string> by = {"annotation", "checker"};
  std::string quote = "quote";
  std::string unplaced = "reject";

  void visit(auto& v) {
    v("by", by, "Who places the mistake; the first that can does.",
      {"annotation", "checker", "quote"});
    v("quote", quote, "Field with the judge's quote: one for the solution, or one a reflection.");
    v("unplaced", unplaced,
      "A mistake without a place: reject the row, take the whole attempt, or let it go on.",
      {"reject", "whole_attempt", "keep"});
  }
};

// Writes the solution up to its located mistake, a reflection, and the right way to the end: as the
// texts say where they are not empty, else by the wordings and the problem's own solution.
struct MendStep {
  static constexpr std::string_view kKind = "mend";
  TextTemplate reflection, continuation, output;
  Wordings reflections;

  void visit(auto& v) {
    v("reflection", reflection, "What is said about the mistake.");
    v("continuation", continuation, "How the solution goes on; its first line is the correction.");
    v("output", output, "The final answer.");
    v("reflections", reflections,
      "Texts that name the mistake: value_known, step_known, whole_attempt.");
  }
};

// Reads a reply that already is a trace with tags and locates the mistake before each reflection.
struct ParseStep {
  static constexpr std::string_view kKind = "parse";
  std::string unplaced = "keep";

  void visit(auto& v) {
    v("unplaced", unplaced,
      "A reflection before which no mistake is found: keep or reject the row.", {"keep", "reject"});
  }
};

// Writes a right solution without any mistake: the executed program, or the problem's own.
struct WriteStep {
  static constexpr std::string_view kKind = "write";
  void visit(auto&) {}
};

// Checks the finished trace against the problem, without regard to how it was made.
struct VerifyStep {
  static constexpr std::string_view kKind = "verify";
  Asking asking;  // of the judge
  std::string checker = "auto";

  void visit(auto& v) {
    asking.visit(v);
    v("checker", checker,
      "How the output is compared with the gold answer; auto: by its form; judge: a model says.",
      checker_and_judge_names());
  }
};

// Asks a model and puts what it wrote into fields.
struct AskStep {
  static constexpr std::string_view kKind = "ask";
  Asking asking;
  std::string into = "reply";
  std::string read = "text";
  std::vector<std::string> tags;
  std::string each;
  std::int64_t samples = 1;
  std::string conversation;
  std::string otherwise = "reject";
  bool optional = false;

  void visit(auto& v) {
    asking.visit(v);
    v("into", into, "Field that takes the reply.");
    v("read", read, "The reply as one text, or its lines as a list.", {"text", "lines"});
    v("tags", tags, "Sections <tag>text</tag> of the reply that become fields; \"tag?\" may lack.");
    v("each", each, "List field: ask for each element, which the texts call {{item}}.");
    v("samples", samples, "Replies to each prompt; more than one make a list.");
    v("conversation", conversation, "Name of the conversation that question and reply belong to.");
    v("otherwise", otherwise,
      "A reply that cannot be used: reject the row, or let it go on without the fields.",
      {"reject", "keep"});
    v("optional", optional, "Pass over the step where its teacher is no model.");
  }
};

// Names of criteria with what they mean.
using Rubric = std::vector<std::pair<std::string, std::string>>;

// Asks a model for a mark by each criterion.
struct JudgeStep {
  static constexpr std::string_view kKind = "judge";
  Asking asking;
  Rubric rubric;
  std::int64_t scale = 5;
  double at_least = 4;
  std::string into = "verdict";
  std::string otherwise = "reject";

  void visit(auto& v) {
    asking.visit(v);
    v("rubric", rubric, "Criteria, name: meaning; the prompt holds them at {{rubric}}.");
    v("scale", scale, "Highest mark; the lowest is 1.");
    v("at_least", at_least, "Lowest mark that every criterion must have.");
    v("into", into, "Field that takes pass or fail; with _score the mean, with _text the reply.");
    v("otherwise", otherwise, "A row that fails: reject it, or let it go on.", {"reject", "keep"});
  }
};

// Compares a field with the gold answer.
struct CheckStep {
  static constexpr std::string_view kKind = "check";
  Asking asking;  // of the judge
  std::string field = "output";
  TextTemplate against = TextTemplate("{{answer}}");
  std::string checker = "auto";
  std::string into = "verdict";
  std::string otherwise = "reject";

  void visit(auto& v) {
    asking.visit(v);
    v("field", field, "What is checked; of a list each element.");
    v("against", against, "The right answer; for unit_tests the tests.");
    v("checker", checker,
      "How answers are compared; auto: by the right one's form; judge: a model says.",
      checker_and_judge_names());
    v("into", into, "Field that takes right or wrong, for each element.");
    v("otherwise", otherwise, "A row with a wrong answer: reject it, or let it go on.",
      {"reject", "keep"});
  }
};

// Takes the answer that most elements of a list give.
struct VoteStep {
  static constexpr std::string_view kKind = "vote";
  std::string field;
  std::string checker = "auto";
  double at_least = 0;
  std::string into = "winner";

  void visit(auto& v) {
    v("field", field, "List of answers.");
    v("checker", checker, "When two answers are the same.", comparing_checker_names());
    v("at_least", at_least, "Share of all that must agree; else the row is rejected.");
    v("into", into, "Field that takes the answer as its first giver wrote it.");
  }
};

// Takes the element of a list with the best mean score.
struct ChooseStep {
  static constexpr std::string_view kKind = "choose";
  std::string from, by;
  double at_least = 0;
  std::string into = "chosen";

  void visit(auto& v) {
    v("from", from, "List to choose from.");
    v("by", by,
      "List of scores, as many for each element: numbers, or right and pass (1), wrong and fail "
      "(0). The first of equals wins.");
    v("at_least", at_least, "Lowest mean score; below it the row is rejected.");
    v("into", into, "Field that takes the element.");
  }
};

// Takes one element of a list at random, by the row's key.
struct PickStep {
  static constexpr std::string_view kKind = "pick";
  std::string from;
  std::string into = "picked";

  void visit(auto& v) {
    v("from", from, "List to pick from.");
    v("into", into, "Field that takes the element.");
  }
};

// Rejects rows that do not have what is asked for.
struct RequireStep {
  static constexpr std::string_view kKind = "require";
  Condition that;
  std::string field;
  std::int64_t min_length = 0;
  std::int64_t max_length = 0;
  double at_least = 0;
  std::string of;
  std::vector<std::string> language;

  void visit(auto& v) {
    v("that", that, "Condition that must hold.");
    v("field", field, "Field whose length or language is bounded.");
    v("min_length", min_length, "Fewest bytes.");
    v("max_length", max_length, "Most bytes; 0: any.");
    v("at_least", at_least, "Shortest length as a share of the length of the field `of`.");
    v("of", of, "Field that `at_least` compares with.");
    v("language", language,
      "Languages that the field may be written in (en, de, ...); a text that does not tell "
      "passes.");
  }
};

// Rejects a row whose text is nearly that of an earlier accepted row. Which rows stay is decided in
// the order of the input when rows are written, whatever the order in which replies arrive.
struct DistinctStep {
  static constexpr std::string_view kKind = "distinct";
  std::string field = "response";
  double similarity = 0.8;
  std::int64_t shingle_words = 5;

  void visit(auto& v) {
    v("field", field, "Text that is compared.");
    v("similarity", similarity, "Jaccard similarity of the sets of word n-grams to reject at.");
    v("shingle_words", shingle_words, "Words of an n-gram.");
  }
};

// Ends a group of steps that is done again, up to so many rounds, until a condition holds.
struct LoopStep {
  static constexpr std::string_view kKind = "loop";
  std::int64_t rounds = 3;
  Condition until;
  std::string otherwise = "reject";
  std::size_t begin = 0;  // index of the group's first step

  void visit(auto& v) {
    v("rounds", rounds, "Most rounds.");
    v("until", until, "Condition that ends the loop after a round.");
    v("otherwise", otherwise, "Without it after the last round: reject the row, or let it go on.",
      {"reject", "keep"});
  }
};

// One row of an AssembleStep. Empty texts leave what the problem has.
struct AssembledTexts {
  TextTemplate variant, system, prompt, response, answer;

  void visit(auto& v) {
    v("variant", variant, "Name among the rows of one problem.");
    v("system", system, "System message instead of the recipe's.");
    v("prompt", prompt, "User message instead of the problem's.");
    v("response", response, "The response.");
    v("answer", answer, "Right answer to the prompt, where it is another than the problem's.");
  }
};

// Writes the row, or several variants of it, from fields; each goes on alone.
struct AssembleStep {
  static constexpr std::string_view kKind = "assemble";
  AssembledTexts row;
  std::vector<AssembledTexts> rows;
  std::vector<std::string> lineage;

  void visit(auto& v) {
    row.visit(v);
    v("rows", rows, "Several rows instead of one, each with these texts.");
    v("lineage", lineage, "Fields that are kept in the row's lineage.");
  }
};

using StepSettings = std::variant<DrawStep, CorruptStep, LocateStep, MendStep, ParseStep, WriteStep,
                                  VerifyStep, AskStep, JudgeStep, CheckStep, VoteStep, ChooseStep,
                                  PickStep, RequireStep, DistinctStep, LoopStep, AssembleStep>;

}  // namespace reflect
