#include "reflect/recipes/recipe.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include "recipes/corruption.h"
#include "recipes/inject.h"
#include "recipes/mend.h"
#include "recipes/recipe_yaml.h"
#include "reflect/base/file.h"
#include "reflect/base/hash.h"

namespace reflect {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> step_kinds() {
  std::vector<std::string> kinds;
  [&]<std::size_t... J>(std::index_sequence<J...>) {
    (kinds.emplace_back(std::variant_alternative_t<J, RecipeStep>::kKind), ...);
  }
  (std::make_index_sequence<std::variant_size_v<RecipeStep>>{});
  return kinds;
}

// A step's settings over its defaults, by the kind that the file names.
RecipeStep step_named(const std::string& kind, std::size_t line_of_kind, const std::string& path) {
  std::optional<RecipeStep> step;
  [&]<std::size_t... J>(std::index_sequence<J...>) {
    const auto try_kind = [&]<class Step>(Step empty) {
      if (kind == Step::kKind) step = std::move(empty);
    };
    (try_kind(std::variant_alternative_t<J, RecipeStep>{}), ...);
  }
  (std::make_index_sequence<std::variant_size_v<RecipeStep>>{});
  if (step) return *step;
  const std::string nearest = nearest_name(kind, step_kinds());
  std::string all;
  for (const std::string& each : step_kinds()) all += (all.empty() ? "" : ", ") + each;
  fail_usage("recipe", "{}:{}: unknown step \"{}\"; {}", path, line_of_kind, kind,
             nearest.empty() ? "known: " + all : "did you mean \"" + nearest + "\"?");
}

// Sets the field of the given name wherever a step has it.
class SettingVisitor {
 public:
  SettingVisitor(const std::string& name, const std::string& text) : name_(name), text_(text) {}

  template <class T>
  void operator()(std::string_view name, T& value, std::string_view help,
                  std::vector<std::string> choices = {}) {
    if constexpr (std::is_constructible_v<FieldValue, T*>) {
      if (name != name_) return;
      Field field{name_, std::string(help), &value, std::move(choices)};
      set_from_text(field, text_, "--set." + name_);
      found_ = true;
    }
  }
  bool found() const { return found_; }

 private:
  const std::string& name_;
  const std::string& text_;
  bool found_ = false;
};

void apply_setting(Recipe& recipe, const std::string& name, const std::string& text) {
  SettingVisitor visitor(name, text);
  recipe.visit(visitor);
  for (RecipeStep& step : recipe.steps) {
    std::visit([&](auto& each) { each.visit(visitor); }, step);
  }
  if (!visitor.found()) {
    fail_usage("recipe", "--set.{}: no step of the recipe {} has this setting", name, recipe.name);
  }
}

// What a step does with its wordings.
struct WordingUse {
  std::vector<std::string> known;
  std::vector<std::string> needed;
  std::vector<std::string> fields;
};

std::optional<std::string> problem_with_wordings(const Wordings& wordings, const WordingUse& use) {
  for (const auto& [key, variants] : wordings) {
    if (std::ranges::find(use.known, key) == use.known.end()) {
      const std::string nearest = nearest_name(key, use.known);
      return fmt::format("reflections has no use for \"{}\"{}", key,
                         nearest.empty() ? "" : "; did you mean \"" + nearest + "\"?");
    }
    for (const TextTemplate& variant : variants) {
      for (const std::string_view field : variant.fields()) {
        if (std::ranges::find(use.fields, field) != use.fields.end()) continue;
        return fmt::format("reflections.{}: nothing is known for {{{{{}}}}}; known: {}", key, field,
                           fmt::join(use.fields, ", "));
      }
    }
  }
  for (const std::string& key : use.needed) {
    if (!wordings.contains(key)) return fmt::format("reflections.{} is missing", key);
  }
  return std::nullopt;
}

std::optional<std::string> problem_with(const DrawStep& step) {
  if (step.clean_fraction >= 0 && step.clean_fraction <= 1) return std::nullopt;
  return fmt::format("clean_fraction {} is not from 0 to 1", step.clean_fraction);
}

std::optional<std::string> problem_with(const CorruptStep& step) {
  if (step.q < 0 || step.q >= 1) return fmt::format("q {} is not in [0, 1)", step.q);
  if (step.clean_fraction < 0 || step.clean_fraction > 1) {
    return fmt::format("clean_fraction {} is not from 0 to 1", step.clean_fraction);
  }
  if (shares_of(step.notice_after).empty()) {
    return fmt::format("notice_after [{}] needs weights of 0 or more that are not all 0",
                       fmt::join(step.notice_after, ", "));
  }
  for (const std::string& kind : step.kinds) {
    if (error_kind_named(kind)) continue;
    return fmt::format("kinds: \"{}\" is none; known: {}", kind,
                       fmt::join(error_kind_names(), ", "));
  }
  WordingUse use{error_kind_names(), step.kinds, inject_fields()};
  if (use.needed.empty()) use.needed = use.known;
  std::erase(use.needed, name_of(ErrorKind::kTooEarly));  // the family words it
  std::erase(use.known, name_of(ErrorKind::kTooEarly));
  return problem_with_wordings(step.reflections, use);
}

std::optional<std::string> problem_with(const MendStep& step) {
  return problem_with_wordings(step.reflections, {mend_wordings(), mend_wordings(), mend_fields()});
}

template <class Step>
std::optional<std::string> problem_with(const Step&) {
  return std::nullopt;
}

class RecipeFile {
 public:
  RecipeFile(std::string path, std::string_view text) : path_(std::move(path)) {
    try {
      root_ = YAML::Load(std::string(text));
    } catch (const YAML::Exception& error) {
      fail_usage("recipe", "{}:{}: {}", path_, error.mark.line + 1, error.msg);
    }
  }

  Recipe read(const RecipeSettings& settings) {
    Recipe recipe;
    recipe.name = fs::path(path_).stem();
    RecipeMap map(root_, path_, "recipe");
    recipe.visit(map);
    const std::optional<YAML::Node> steps = map.take("steps");
    map.refuse_unknown();
    if (!steps || !steps->IsSequence() || steps->size() == 0) {
      map.fail_at(steps ? *steps : root_, "steps is missing, or is not a list of steps");
    }
    for (const YAML::Node& step : *steps) recipe.steps.push_back(read_step(step));
    for (const auto& [name, text] : settings) apply_setting(recipe, name, text);
    check(recipe, *steps);
    return recipe;
  }

 private:
  // "- kind: {settings}" or "- kind".
  RecipeStep read_step(const YAML::Node& node) const {
    const bool bare = node.IsScalar();
    if (!bare && (!node.IsMap() || node.size() != 1)) {
      fail_usage("recipe", "{}:{}: a step is \"- kind: {{settings}}\", one kind each", path_,
                 node.Mark().line + 1);
    }
    const YAML::Node name = bare ? node : node.begin()->first;
    RecipeStep step =
        step_named(name.Scalar(), static_cast<std::size_t>(name.Mark().line) + 1, path_);
    if (bare) return step;
    RecipeMap map(node.begin()->second, path_, "step " + name.Scalar());
    std::visit([&](auto& each) { each.visit(map); }, step);
    map.refuse_unknown();
    return step;
  }

  void check(const Recipe& recipe, const YAML::Node& steps) const {
    for (std::size_t i = 0; i < recipe.steps.size(); ++i) {
      std::visit(
          [&](const auto& step) {
            if (const auto reason = problem_with(step)) {
              fail_usage("recipe", "{}:{}: step {}: {}", path_, steps[i].Mark().line + 1,
                         step.kKind, *reason);
            }
          },
          recipe.steps[i]);
    }
  }

  std::string path_;
  YAML::Node root_;
};

std::string path_of(const std::string& name_or_path) {
  const bool is_path =
      name_or_path.ends_with(".yaml") || name_or_path.find('/') != std::string::npos;
  if (is_path) return name_or_path;
  const std::string path = recipe_folder() + "/" + name_or_path + ".yaml";
  if (fs::exists(path)) return path;
  const std::vector<std::string> known = recipe_names();
  const std::string nearest = nearest_name(name_or_path, known);
  fail_usage("recipe", "there is no recipe \"{}\"{}; known: {}; a file's name ends in .yaml",
             name_or_path, nearest.empty() ? "" : ", did you mean \"" + nearest + "\"?",
             fmt::join(known, ", "));
}

}  // namespace

Recipe load_recipe(const std::string& name_or_path, const RecipeSettings& settings) {
  const std::string path = path_of(name_or_path);
  std::string text;
  try {
    text = read_file(path);
  } catch (const Error& error) {
    throw Error(error.what(), ExitCode::kUsage);
  }
  Recipe recipe = RecipeFile(path, text).read(settings);
  for (const auto& [name, value] : settings) text += "\n--set." + name + "=" + value;
  recipe.hash = content_hash(text);
  return recipe;
}

std::string recipe_folder() {
  const fs::path bin = fs::read_symlink("/proc/self/exe").parent_path();
  const fs::path installed = bin / "../share/reflect/data/recipes";
  const fs::path in_source_tree = bin / "../../../data/recipes";
  return (fs::exists(installed) ? installed : in_source_tree).lexically_normal();
}

std::vector<std::string> recipe_names() {
  std::vector<std::string> names;
  std::error_code missing;
  for (const auto& entry : fs::directory_iterator(recipe_folder(), missing)) {
    if (entry.path().extension() == ".yaml") names.push_back(entry.path().stem());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace reflect
