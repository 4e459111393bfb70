// Recipes: YAML files that say how traces are made, as a list of steps with their settings and
// wordings. docs/recipes.md describes the format.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "reflect/recipes/steps.h"

namespace reflect {

struct RecipeStep {
  StepSettings settings;
  std::vector<Condition> when;  // the step is passed over where one does not hold
  std::string place;            // "file:line"

  std::string_view kind() const;
};

struct Recipe {
  std::string name;
  std::string summary;
  std::vector<std::string> teachers;
  std::string system_prompt;
  std::map<std::string, std::vector<std::string>> constants;  // fields that every row has
  std::vector<RecipeStep> steps;              // a loop's body comes before its LoopStep
  std::optional<ErrorProfile> error_profile;  // given with the run
  std::string hash;  // of the file's text and the settings that were changed

  void visit(auto& v) {
    v("name", name, "Name in lineage and lists; the file's name without .yaml.");
    v("summary", summary, "One sentence.");
    v("teachers", teachers, "Teachers that the recipe works with.",
      {"replay", "procedural", "local", "openai"});
    v("system_prompt", system_prompt, "System message of every row; empty: none.");
    v("constants", constants, "Texts or lists of texts by name, which templates may use.");
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
