// Recipes: YAML files that say how traces are made, as a list of steps with their settings and
// wordings. docs/recipes.md describes the format.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "reflect/recipes/text_template.h"

namespace reflect {

// Variants of a text by what they are for; which variant a row gets is drawn by its key.
using Wordings = std::map<std::string, std::vector<TextTemplate>>;

// Takes the teacher's solutions of each problem, each of which goes on alone.
struct DrawStep {
  static constexpr std::string_view kKind = "draw";
  std::string keep = "wrong";
  double clean_fraction = 0;

  void visit(auto& v) {
    v("keep", keep, "Which solutions go on.", {"wrong", "right", "any"});
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
  Wordings reflections;

  void visit(auto& v) {
    v("q", q, "Probability of a mistake before a step; too early attempts repeat with it.");
    v("form", form, "After a too early attempt: any step, or the missing one and so on down.",
      {"retry", "follow"});
    v("kinds", kinds, "Kinds of mistakes to draw from; empty: those that suit the problem family.");
    v("notice_after", notice_after,
      "Weights of noticing a mistake 0, 1, 2, ... further steps after it.");
    v("clean_fraction", clean_fraction, "Share of traces without any mistake.");
    v("reflections", reflections, "Texts that name the mistake, by kind.");
  }
};

// Finds the first wrong step of a wrong solution.
struct LocateStep {
  static constexpr std::string_view kKind = "locate";
  std::vector<std::string> by = {"annotation", "checker"};
  std::string unplaced = "reject";

  void visit(auto& v) {
    v("by", by, "Who places the mistake; the first that can does.", {"annotation", "checker"});
    v("unplaced", unplaced,
      "A wrong solution whose mistake has no place: reject it, or take the whole attempt.",
      {"reject", "whole_attempt"});
  }
};

// Writes the solution up to its located mistake, a reflection, and the right way to the end.
struct MendStep {
  static constexpr std::string_view kKind = "mend";
  Wordings reflections;

  void visit(auto& v) {
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
  std::string checker = "auto";

  void visit(auto& v) {
    v("checker", checker, "How the output is compared with the gold answer; auto: by its form.",
      {"auto", "number", "choice", "exact"});
  }
};

using RecipeStep =
    std::variant<DrawStep, CorruptStep, LocateStep, MendStep, ParseStep, WriteStep, VerifyStep>;

struct Recipe {
  std::string name;
  std::string summary;
  std::vector<std::string> teachers;
  std::string system_prompt;
  std::vector<RecipeStep> steps;
  std::string hash;  // of the file's text and the settings that were changed

  void visit(auto& v) {
    v("name", name, "Name in lineage and lists; the file's name without .yaml.");
    v("summary", summary, "One sentence.");
    v("teachers", teachers, "Teachers that the recipe works with.",
      {"replay", "procedural", "local", "openai"});
    v("system_prompt", system_prompt, "System message of every row; empty: none.");
  }
};

// A setting given on the command line: its name in a step, and its text.
using RecipeSettings = std::vector<std::pair<std::string, std::string>>;

// Reads a recipe by name (from recipe_folder) or path and lays `settings` over it. A mistake is an
// Error (usage) that names file, line and the nearest known name.
Recipe load_recipe(const std::string& name_or_path, const RecipeSettings& settings = {});

// Where the project's recipes lie: beside the program, installed or in the build tree.
std::string recipe_folder();
// Names of the recipes there, sorted.
std::vector<std::string> recipe_names();

}  // namespace reflect
