// What templates and conditions of a recipe see of a row.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "recipes/task.h"
#include "reflect/recipes/recipe.h"

namespace reflect {

// Fields that rows have without any step that makes them.
const std::vector<std::string>& given_fields();

// Looks in what steps made, then in the recipe's constants, then in what is given. Nothing where
// the field has no value (yet).
class RowFields {
 public:
  RowFields(const Recipe& recipe, const TraceRow& row) : recipe_(recipe), row_(row) {}

  std::vector<std::string> list(std::string_view name) const;
  // A list's elements that are not empty, with an empty line between them.
  std::string text(std::string_view name) const;
  bool holds(const Condition& condition) const;
  bool all_hold(const std::vector<Condition>& conditions) const;
  std::string fill(const TextTemplate& text) const;
  // With further fields for this text alone.
  std::string fill(const TextTemplate& text, const TemplateFields& more) const;

 private:
  std::vector<std::string> given(std::string_view name) const;

  const Recipe& recipe_;
  const TraceRow& row_;
};

}  // namespace reflect
