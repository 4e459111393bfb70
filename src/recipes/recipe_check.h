// Whether a recipe's settings make sense, with the place of what does not.
#pragma once

#include "reflect/recipes/recipe.h"

namespace reflect {

// Throws Error (usage) that names file, line and remedy: a value out of its range, a text or a
// setting that names a field which no step makes.
void check_recipe(const Recipe& recipe);

// The fields that a recipe's steps make.
std::vector<std::string> fields_made(const Recipe& recipe);

}  // namespace reflect
