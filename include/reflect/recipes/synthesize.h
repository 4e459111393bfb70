// reflect-gen's job: problems through a recipe to verified traces, with every row accounted for.
#pragma once

#include <string>
#include <vector>

#include "reflect/base/error.h"
#include "reflect/base/runtime.h"
#include "reflect/recipes/recipe.h"
#include "reflect/tasks/procedural.h"

namespace reflect {

struct TeacherConfig {
  std::string kind = "replay";

  void visit(auto& v) {
    v("kind", kind, "Who solves: recorded solutions, generated ones, a model here, or an endpoint.",
      {"replay", "procedural", "local", "openai"});
  }
};

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

// Settings of the recipe's steps; empty: as the recipe has them.
struct RecipeOverrides {
  std::string q, form, kinds, notice_after, clean_fraction, unplaced, keep, checker;
  std::string system_prompt = "inherit";

  void visit(auto& v) {
    v("q", q, "Probability of a mistake before a step (corrupt).");
    v("form", form, "retry or follow (corrupt).");
    v("kinds", kinds, "Kinds of mistakes (corrupt).");
    v("notice_after", notice_after, "Weights of noticing after 0, 1, 2, ... steps (corrupt).");
    v("clean_fraction", clean_fraction, "Share of traces without a mistake (corrupt, draw).");
    v("unplaced", unplaced, "What to do with mistakes that have no place (locate, parse).");
    v("keep", keep, "Which solutions go on: wrong, right, any (draw).");
    v("checker", checker, "How outputs are compared (verify).");
    v("system_prompt", system_prompt,
      "System message of every row; \"inherit\": the recipe's, empty: none.");
  }
};

struct SynthesizeConfig {
  std::string recipe;
  TeacherConfig teacher;
  std::string input;
  std::string output;
  std::int64_t count = 0;
  std::int64_t accept = 0;
  bool problems_only = false;
  bool list_recipes = false;
  ProceduralConfig procedural;
  SplitConfig split;
  RecipeOverrides set;
  RuntimeConfig runtime;

  void visit(auto& v) {
    v("recipe", recipe, "Name of a recipe, or path of a .yaml file.");
    v("teacher", teacher, "");
    v("input", input, "JSON Lines with problems or recorded solutions; - is standard input.");
    v("output", output,
      "JSON Lines with the accepted rows; the same name with .rejected.jsonl and .manifest.json "
      "holds the others and the counts. - is standard output, with neither.");
    v("count", count, "Problems to generate (procedural); 0: as many as --accept needs.");
    v("accept", accept, "Stop at exactly so many accepted rows; 0: take all.");
    v("problems-only", problems_only, "Write the problems themselves, for evaluation.");
    v("list-recipes", list_recipes, "List the recipes and stop.");
    v("procedural", procedural, "");
    split.visit(v);
    v("set", set, "");
    runtime.visit(v);
  }
};

// kIncomplete when the input ran out before `accept` rows were accepted.
ExitCode synthesize(const SynthesizeConfig& config);

}  // namespace reflect
