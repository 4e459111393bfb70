// Reads a recipe's YAML with the place of every mistake.
#pragma once

#include <yaml-cpp/yaml.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "reflect/base/config.h"
#include "reflect/base/error.h"
#include "reflect/recipes/recipe.h"

namespace reflect {

// One YAML map; a visitor that fills the fields of a struct from it and refuses unknown keys.
class RecipeMap {
 public:
  RecipeMap(const YAML::Node& map, std::string path, std::string what)
      : map_(map), path_(std::move(path)), what_(std::move(what)) {
    if (!map_.IsMap() && !map_.IsNull()) fail_at(map_, "expected settings \"name: value\"");
  }

  template <class T>
  void operator()(std::string_view name, T& value, std::string_view help,
                  std::vector<std::string> choices = {}) {
    const std::optional<YAML::Node> node = take(name);
    if (!node) return;
    if constexpr (std::is_same_v<T, Wordings>) {
      read_wordings(*node, value);
    } else if constexpr (std::is_same_v<T, TextTemplate>) {
      value = TextTemplate(text_in(*node));
    } else if constexpr (std::is_same_v<T, Condition>) {
      value = condition_in(*node);
    } else if constexpr (std::is_same_v<T, Rubric>) {
      read_rubric(*node, value);
    } else if constexpr (std::is_same_v<T, std::map<std::string, std::vector<std::string>>>) {
      read_texts(*node, value);
    } else if constexpr (std::is_same_v<T, std::vector<AssembledTexts>>) {
      read_rows(*node, value);
    } else {
      Field field{std::string(name), std::string(help), &value, std::move(choices)};
      read_field(*node, field);
    }
  }

  // One condition, as docs/recipes.md spells it, or a list of them.
  std::vector<Condition> conditions_in(const YAML::Node& node) const;
  // The value under `name`, which is known from now on; nothing where there is none.
  std::optional<YAML::Node> take(std::string_view name);
  // Call when all known names were asked for.
  void refuse_unknown() const;
  [[noreturn]] void fail_at(const YAML::Node& node, const std::string& message) const;

 private:
  void read_field(const YAML::Node& node, Field& field) const;
  Condition condition_in(const YAML::Node& node) const;
  std::string text_in(const YAML::Node& node) const;
  // One text or a list of them; never empty.
  std::vector<std::string> texts_in(const YAML::Node& node) const;
  void read_wordings(const YAML::Node& node, Wordings& wordings) const;
  void read_rubric(const YAML::Node& node, Rubric& rubric) const;
  void read_texts(const YAML::Node& node,
                  std::map<std::string, std::vector<std::string>>& texts) const;
  void read_rows(const YAML::Node& node, std::vector<AssembledTexts>& rows) const;

  YAML::Node map_;
  std::string path_;
  std::string what_;  // "recipe", "step corrupt"
  std::vector<std::string> known_;
};

}  // namespace reflect
