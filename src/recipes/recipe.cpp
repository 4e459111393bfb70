#include "reflect/recipes/recipe.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include "recipes/recipe_check.h"
#include "recipes/recipe_yaml.h"
#include "reflect/base/file.h"
#include "reflect/base/hash.h"

namespace reflect {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> step_kinds() {
  std::vector<std::string> kinds;
  [&]<std::size_t... J>(std::index_sequence<J...>) {
    (kinds.emplace_back(std::variant_alternative_t<J, StepSettings>::kKind), ...);
  }
  (std::make_index_sequence<std::variant_size_v<StepSettings>>{});
  return kinds;
}

// A step's settings over its defaults, by the kind that the file names.
StepSettings step_named(const std::string& kind, std::size_t line_of_kind,
                        const std::string& path) {
  std::optional<StepSettings> step;
  [&]<std::size_t... J>(std::index_sequence<J...>) {
    const auto try_kind = [&]<class Step>(Step empty) {
      if (kind == Step::kKind) step = std::move(empty);
    };
    (try_kind(std::variant_alternative_t<J, StepSettings>{}), ...);
  }
  (std::make_index_sequence<std::variant_size_v<StepSettings>>{});
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
    std::visit([&](auto& each) { each.visit(visitor); }, step.settings);
  }
  if (!visitor.found()) {
    fail_usage("recipe", "--set.{}: no step of the recipe {} has this setting", name, recipe.name);
  }
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
    read_steps(*steps, recipe.steps);
    for (const auto& [name, text] : settings) apply_setting(recipe, name, text);
    check_recipe(recipe);
    return recipe;
  }

 private:
  void read_steps(const YAML::Node& nodes, std::vector<RecipeStep>& steps) const {
    for (const YAML::Node& node : nodes) read_step(node, steps);
  }

  // "- kind: {settings}" or "- kind".
  void read_step(const YAML::Node& node, std::vector<RecipeStep>& steps) const {
    const bool bare = node.IsScalar();
    const std::size_t line = static_cast<std::size_t>(node.Mark().line) + 1;
    if (!bare && (!node.IsMap() || node.size() != 1)) {
      const bool outside = node.IsMap() && node["when"];
      fail_usage("recipe", "{}:{}: a step is \"- kind: {{settings}}\", one kind each{}", path_,
                 line, outside ? "; `when` is one of its settings" : "");
    }
    const YAML::Node name = bare ? node : node.begin()->first;
    RecipeStep step{step_named(name.Scalar(), line, path_), {}, fmt::format("{}:{}", path_, line)};
    RecipeMap map(bare ? YAML::Node(YAML::NodeType::Null) : node.begin()->second, path_,
                  "step " + name.Scalar());
    if (const auto when = map.take("when")) step.when = map.conditions_in(*when);
    if (auto* loop = std::get_if<LoopStep>(&step.settings)) {
      loop->begin = steps.size();
      const auto body = map.take("steps");
      if (!body || !body->IsSequence() || body->size() == 0) {
        map.fail_at(name, "steps is missing, or is not a list of steps");
      }
      read_steps(*body, steps);
    }
    std::visit([&](auto& each) { each.visit(map); }, step.settings);
    map.refuse_unknown();
    steps.push_back(std::move(step));
  }

  std::string path_;
  YAML::Node root_;
};

std::string path_of(const std::string& name_or_path) {
  const bool is_path =
      name_or_path.ends_with(".yaml") || name_or_path.find('/') != std::string::npos;
  if (is_path) return name_or_path;
  const std::string folder = recipe_folder(), path = folder + "/" + name_or_path + ".yaml";
  if (fs::exists(path)) return path;
  const std::vector<std::string> known = recipe_names();
  const std::string nearest = nearest_name(name_or_path, known);
  fail_usage("recipe", "there is no recipe \"{}\"{}; known: {}; a file's name ends in .yaml",
             name_or_path, nearest.empty() ? "" : ", did you mean \"" + nearest + "\"?",
             known.empty() ? "none, as " + folder + " holds no recipe; give a file or install again"
                           : fmt::format("{}", fmt::join(known, ", ")));
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

std::string_view RecipeStep::kind() const {
  return std::visit([](const auto& each) { return each.kKind; }, settings);
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
