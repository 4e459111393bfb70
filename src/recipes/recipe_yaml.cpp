#include "recipes/recipe_yaml.h"

#include <algorithm>

#include "reflect/base/white_space.h"

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

std::string RecipeMap::text_in(const YAML::Node& node) const {
  if (!node.IsScalar()) fail_at(node, "expected a text");
  return node.Scalar();
}

std::vector<std::string> RecipeMap::texts_in(const YAML::Node& node) const {
  if (node.IsScalar()) return {node.Scalar()};
  std::vector<std::string> texts;
  for (std::size_t i = 0; node.IsSequence() && i < node.size(); ++i) {
    texts.push_back(text_in(node[i]));
  }
  if (texts.empty()) fail_at(node, "expected a text or a list of texts");
  return texts;
}

Condition RecipeMap::condition_in(const YAML::Node& node) const {
  const std::string text = text_in(node);
  const std::size_t is = text.find(" is ");
  Condition condition;
  condition.field = trimmed(text.substr(0, is));
  if (is == text.npos || condition.field.empty() || condition.field.find(' ') != text.npos) {
    fail_at(node, fmt::format("\"{}\" is no condition; write \"FIELD is TEXT\", \"FIELD is not "
                              "TEXT\" or \"FIELD is missing\"",
                              text));
  }
  condition.text = trimmed(text.substr(is + 4));
  condition.negated = condition.text.starts_with("not ");
  if (condition.negated) condition.text = trimmed(condition.text.substr(4));
  return condition;
}

std::vector<Condition> RecipeMap::conditions_in(const YAML::Node& node) const {
  if (!node.IsSequence()) return {condition_in(node)};
  std::vector<Condition> conditions;
  for (const YAML::Node& each : node) conditions.push_back(condition_in(each));
  return conditions;
}

void RecipeMap::read_wordings(const YAML::Node& node, Wordings& wordings) const {
  if (!node.IsMap()) fail_at(node, "expected texts by what they are for: \"kind: [text, text]\"");
  for (const auto& entry : node) {
    std::vector<TextTemplate>& variants = wordings[entry.first.Scalar()];
    variants.clear();
    for (const std::string& text : texts_in(entry.second)) variants.emplace_back(text);
  }
}

void RecipeMap::read_rubric(const YAML::Node& node, Rubric& rubric) const {
  if (!node.IsMap()) fail_at(node, "expected criteria: \"name: what it means\"");
  rubric.clear();
  for (const auto& entry : node) rubric.emplace_back(entry.first.Scalar(), text_in(entry.second));
}

void RecipeMap::read_texts(const YAML::Node& node,
                           std::map<std::string, std::vector<std::string>>& texts) const {
  if (!node.IsMap())
    fail_at(node, "expected texts by name: \"name: text\" or \"name: [text, ...]\"");
  for (const auto& entry : node) texts[entry.first.Scalar()] = texts_in(entry.second);
}

void RecipeMap::read_rows(const YAML::Node& node, std::vector<AssembledTexts>& rows) const {
  if (!node.IsSequence()) fail_at(node, "expected a list of rows");
  for (const YAML::Node& entry : node) {
    RecipeMap map(entry, path_, what_ + ": row");
    rows.emplace_back().visit(map);
    map.refuse_unknown();
  }
}

}  // namespace reflect
