// reflect-gen's job: problems through a recipe to verified traces, with every row accounted for.
#pragma once

#include <string>
#include <vector>

#include "reflect/base/error.h"
#include "reflect/base/runtime.h"
#include "reflect/dist/launch.h"
#include "reflect/recipes/recipe.h"
#include "reflect/recipes/teacher.h"
#include "reflect/tasks/procedural.h"

namespace reflect {

// Which problems of a file are taken.
struct SplitConfig {
  std::string part = "all";
  double fraction = 0.5;

  void visit(auto& v) {
    v("split-part", part, "Which problems to take, by a hash of their text.",
      {"all", "train", "eval"});
    v("split-fraction", fraction, "Share of the problems in the part train.");
  }
};

// Of all replies in the run store, those of earlier runs of the same command included.
struct BudgetConfig {
  std::int64_t tokens = 0;
  double usd = 0;

  void visit(auto& v) {
    v("tokens", tokens, "Stop before prompt and completion tokens pass this; 0: no limit.");
    v("usd", usd, "Stop before the cost by the teachers' prices passes this; 0: no limit.");
  }
};

// Settings of the recipe's steps; empty: as the recipe has them.
struct RecipeOverrides {
  std::string q, form, kinds, notice_after, clean_fraction, unplaced, keep, checker;
  std::string at_least_one, max_too_early;
  std::string temperature, rounds, at_least, similarity;
  std::string system_prompt = "inherit";

  void visit(auto& v) {
    v("q", q, "Probability of a mistake before a step (corrupt).");
    v("form", form, "retry or follow (corrupt).");
    v("kinds", kinds, "Kinds of mistakes (corrupt).");
    v("notice_after", notice_after, "Weights of noticing after 0, 1, 2, ... steps (corrupt).");
    v("clean_fraction", clean_fraction, "Share of traces without a mistake (corrupt, draw).");
    v("at_least_one", at_least_one,
      "Every trace that is not one of these has a mistake (corrupt).");
    v("max_too_early", max_too_early, "Highest probability of a too early attempt (corrupt).");
    v("unplaced", unplaced, "What to do with mistakes that have no place (locate, parse).");
    v("keep", keep, "Which solutions go on: wrong, right, any (draw).");
    v("checker", checker, "How answers are compared (check, verify, vote, draw).");
    v("temperature", temperature, "Temperature of every question (ask, judge, draw).");
    v("rounds", rounds, "Most rounds (loop).");
    v("at_least", at_least, "Lowest mark, score or share (judge, vote, choose, require).");
    v("similarity", similarity, "From which similarity on a row repeats another (distinct).");
    v("system_prompt", system_prompt,
      "System message of every row; \"inherit\": the recipe's, empty: none.");
  }
};

// What accepted rows can be written as; the first is the project's own.
std::vector<std::string> output_format_names();

struct SynthesizeConfig {
  std::string recipe;
  TeacherConfig teacher;
  std::vector<TeacherConfig> teachers;
  std::string input;
  std::string output;
  std::string format = "records";
  std::int64_t count = 0;
  std::int64_t accept = 0;
  std::int64_t attempts = 1;
  BudgetConfig budget;
  std::string shard = "auto";
  bool estimate = false;
  std::int64_t show_prompt = 0;
  bool problems_only = false;
  bool profile_only = false;
  std::string error_profile;
  double clean_fraction = -1;
  bool list_recipes = false;
  ProceduralConfig procedural;
  SplitConfig split;
  RecipeOverrides set;
  LaunchConfig launch;
  RuntimeConfig runtime;

  void visit(auto& v) {
    v("recipe", recipe, "Name of a recipe, or path of a .yaml file.");
    v("teacher", teacher, "");
    v("teachers", teachers, "Further teachers, which the recipe's steps choose by name.");
    v("input", input, "JSON Lines with problems or recorded solutions; - is standard input.");
    v("output", output,
      "JSON Lines with the accepted rows; the same name with .rejected.jsonl and .manifest.json "
      "holds the others and the counts, with .run the replies of models. - is standard output, "
      "with none of them.");
    v("format", format,
      "Form of the accepted rows: the project's own, with spans and lineage, or one that other "
      "tools read; dpo: pairs of the mended and the flawed way.",
      output_format_names());
    v("count", count, "Problems to generate where no --input is; 0: as many as --accept needs.");
    v("accept", accept, "Stop at exactly so many accepted rows; 0: take all.");
    v("attempts", attempts, "Attempts at a problem all of whose rows are rejected.");
    v("budget", budget, "");
    v("shard", shard,
      "i/n: only the problems of part i (0 to n-1), by a hash of their text, into an output of its "
      "own (traces-00000-of-00008.jsonl); auto: all.");
    v("estimate", estimate,
      "Run the first 20 problems, say what all would take and cost, and write nothing else.");
    v("show-prompt", show_prompt, "Print what the first N problems ask, asking nobody.");
    v("problems-only", problems_only, "Write the problems themselves, for evaluation.");
    v("error-profile", error_profile,
      "JSON file with the kinds and places that injected mistakes shall have, and that the "
      "output's "
      "are compared with; --profile-only writes one.");
    v("profile-only", profile_only,
      "Write the error profile of the mistakes recorded in --input to --output.");
    v("clean-fraction", clean_fraction,
      "Share of traces that are right at once; -1: as the recipe has it.");
    v("list-recipes", list_recipes, "List the recipes and stop.");
    v("procedural", procedural, "");
    split.visit(v);
    v("set", set, "");
    v("launch", launch, "");
    runtime.visit(v);
  }
};

// kIncomplete when the input or the budget ran out before `accept` rows were accepted, or a reply
// is missing. As several processes the first one does all but decoding for local teachers, of which
// each does a share.
ExitCode synthesize(const SynthesizeConfig& config);

}  // namespace reflect
