// Reads a recipe's YAML with the place of every mistake.
#pragma once

#include <yaml-cpp/yaml.h>

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
    } else {
      Field field{std::string(name), std::string(help), &value, std::move(choices)};
      read_field(*node, field);
    }
  }

  // The value under `name`, which is known from now on; nothing where there is none.
  std::optional<YAML::Node> take(std::string_view name);
  // Call when all known names were asked for.
  void refuse_unknown() const;
  [[noreturn]] void fail_at(const YAML::Node& node, const std::string& message) const;

 private:
  void read_field(const YAML::Node& node, Field& field) const;
  void read_wordings(const YAML::Node& node, Wordings& wordings) const;

  YAML::Node map_;
  std::string path_;
  std::string what_;  // "recipe", "step corrupt"
  std::vector<std::string> known_;
};

}  // namespace reflect
