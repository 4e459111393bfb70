#include "recipes/recipe_yaml.h"

#include <algorithm>

namespace reflect {

std::optional<YAML::Node> RecipeMap::take(std::string_view name) {
  known_.emplace_back(name);
  if (!map_.IsMap()) return std::nullopt;
  const YAML::Node map = map_;  // reading a const node adds nothing to it
  const YAML::Node value = map[known_.back()];
  if (!value) return std::nullopt;
  return value;
}

void RecipeMap::refuse_unknown() const {
  if (!map_.IsMap()) return;
  for (const auto& entry : map_) {
    const std::string name = entry.first.Scalar();
    if (std::ranges::find(known_, name) != known_.end()) continue;
    const std::string nearest = nearest_name(name, known_);
    std::string all;
    for (const std::string& each : known_) all += (all.empty() ? "" : ", ") + each;
    fail_at(entry.first,
            fmt::format("unknown name \"{}\"; {}", name,
                        nearest.empty() ? "known: " + all : "did you mean \"" + nearest + "\"?"));
  }
}

void RecipeMap::fail_at(const YAML::Node& node, const std::string& message) const {
  fail_usage("recipe", "{}:{}: {}: {}", path_, node.Mark().line + 1, what_, message);
}

void RecipeMap::read_field(const YAML::Node& node, Field& field) const {
  const std::string where =
      fmt::format("{}:{}: {}: {}", path_, node.Mark().line + 1, what_, field.path);
  auto* list = std::get_if<std::vector<std::string>*>(&field.value);
  if (list != nullptr && node.IsSequence()) {
    (*list)->clear();
    for (const YAML::Node& item : node) {
      std::string text;
      Field element{field.path, "", &text, field.choices};
      if (!item.IsScalar()) fail_at(item, field.path + " is a list of texts or numbers");
      set_from_text(element, item.Scalar(), where);
      (*list)->push_back(std::move(text));
    }
  } else if (node.IsScalar()) {
    set_from_text(field, node.Scalar(), where);
  } else {
    fail_at(node, field.path + " has no value or one of another form; docs/recipes.md lists them");
  }
}

void RecipeMap::read_wordings(const YAML::Node& node, Wordings& wordings) const {
  if (!node.IsMap()) fail_at(node, "expected texts by what they are for: \"kind: [text, text]\"");
  for (const auto& entry : node) {
    std::vector<TextTemplate>& variants = wordings[entry.first.Scalar()];
    variants.clear();
    const YAML::Node& value = entry.second;
    if (value.IsScalar()) variants.emplace_back(value.Scalar());
    for (std::size_t i = 0; value.IsSequence() && i < value.size(); ++i) {
      if (!value[i].IsScalar()) fail_at(value[i], "expected a text");
      variants.emplace_back(value[i].Scalar());
    }
    if (variants.empty()) fail_at(entry.first, "\"" + entry.first.Scalar() + "\" has no text");
  }
}

}  // namespace reflect
