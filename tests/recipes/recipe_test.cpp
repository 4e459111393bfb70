// Recipe files: the shipped ones load, and a mistake in one names file, line and remedy.
#include "reflect/recipes/recipe.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "reflect/base/error.h"
#include "reflect/base/file.h"
#include "temp_folder.h"

using namespace reflect;

namespace {

// The error of loading a recipe with this text.
std::string error_of(const std::string& text, const RecipeSettings& settings = {}) {
  const TempFolder folder;
  const std::string path = folder / "mine.yaml";
  write_file_atomic(path, text);
  try {
    load_recipe(path, settings);
  } catch (const Error& error) {
    CHECK(error.exit_code() == ExitCode::kUsage);
    return error.what();
  }
  return "no error";
}

bool holds(const std::string& text, const std::string& part) {
  INFO(text);
  CHECK(text.find(part) != std::string::npos);
  return text.find(part) != std::string::npos;
}

template <class Step>
const Step& step_of(const Recipe& recipe) {
  for (const RecipeStep& step : recipe.steps) {
    if (const Step* found = std::get_if<Step>(&step.settings)) return *found;
  }
  throw std::runtime_error("no such step");
}

}  // namespace

TEST_CASE("every shipped recipe loads, under the name of its file") {
  const std::vector<std::string> names = recipe_names();
  for (const char* name : {"inject", "plain", "reflection", "split", "recycle", "selective",
                           "raspberry", "orca", "s2a", "panel", "own_errors"}) {
    CHECK(std::count(names.begin(), names.end(), name) == 1);
  }
  for (const std::string& name : names) {
    const Recipe recipe = load_recipe(name);
    CHECK(recipe.name == name);
    CHECK_FALSE(recipe.summary.empty());
    CHECK_FALSE(recipe.teachers.empty());
    CHECK_FALSE(recipe.steps.empty());
  }
}

TEST_CASE("settings of the command line lie over the file and change the hash") {
  const Recipe plain = load_recipe("inject");
  const Recipe changed =
      load_recipe("inject", {{"q", "0.5"}, {"form", "follow"}, {"kinds", "off_by_one,too_early"}});
  const CorruptStep& step = step_of<CorruptStep>(changed);
  CHECK(step.q == 0.5);
  CHECK(step.form == "follow");
  CHECK(step.kinds == std::vector<std::string>{"off_by_one", "too_early"});
  CHECK(plain.hash != changed.hash);
  CHECK(plain.hash == load_recipe("inject").hash);
}

TEST_CASE("a recipe written by someone else needs no recompilation") {
  const TempFolder folder;
  write_file_atomic(folder / "slips.yaml",
                    "summary: only slips\nteachers: [procedural]\nsteps:\n"
                    "  - corrupt:\n      q: 0.3\n      kinds: [off_by_one]\n      reflections:\n"
                    "        off_by_one: \"No, {{right}}.\"\n  - verify\n");
  const Recipe recipe = load_recipe(folder / "slips.yaml");
  CHECK(recipe.name == "slips");
  CHECK(step_of<CorruptStep>(recipe).reflections.at("off_by_one").size() == 1);
  CHECK(step_of<VerifyStep>(recipe).checker == "auto");
}

TEST_CASE("mistakes in a recipe name file and line") {
  holds(error_of("steps: [verify]\nsumary: x\n"), "mine.yaml:2: recipe: unknown name \"sumary\"");
  holds(error_of("steps: [verify]\nsumary: x\n"), "did you mean \"summary\"?");
  holds(error_of("summary: x\n"), "mine.yaml:1: recipe: steps is missing");
  holds(error_of("steps: []\n"), "mine.yaml:1: recipe: steps is missing");
  holds(error_of("steps:\n  - verify\n  - verfy\n"), "mine.yaml:3: unknown step \"verfy\"");
  holds(error_of("steps:\n  - verify: {chekcer: exact}\n"),
        "mine.yaml:2: step verify: unknown name \"chekcer\"; did you mean \"checker\"?");
  holds(error_of("steps:\n  - verify:\n      checker: exakt\n"),
        "mine.yaml:3: step verify: checker");
  holds(error_of("steps:\n  - draw: {clean_fraction: 2}\n"),
        "mine.yaml:2: step draw: clean_fraction");
  holds(error_of("steps:\n  - draw: {clean_fraction: x}\n"),
        "mine.yaml:2: step draw: clean_fraction");
  holds(error_of("steps:\n  - corrupt: {q: 1.5}\n"), "mine.yaml:2: step corrupt: q 1.5");
  holds(error_of("steps:\n  - corrupt: {kinds: [of_by_one]}\n"),
        "mine.yaml:2: step corrupt: kinds");
  holds(error_of("steps:\n  - corrupt: {notice_after: [0, 0]}\n"),
        "mine.yaml:2: step corrupt: notice_after");
  holds(error_of("steps:\n  - corrupt: {}\n"), "mine.yaml:2: step corrupt: reflections.");
  holds(error_of("steps:\n  - mend:\n      reflections:\n        value_known: \"{{rihgt}}\"\n"),
        "nothing is known for {{rihgt}}");
  holds(error_of("steps:\n  - mend:\n      reflections:\n        value_knwn: x\n"),
        "did you mean \"value_known\"?");
  holds(error_of("steps:\n  - {verify: {}, draw: {}}\n"), "mine.yaml:2: a step is");
  holds(error_of("steps: [verify\n"), "mine.yaml:");
  holds(error_of("steps:\n  - ask: {into: x}\n"), "mine.yaml:2: step ask: prompt is missing");
  holds(error_of("steps:\n  - verify\n  - ask: {prompt: \"{{probelm}}\"}\n"),
        "mine.yaml:3: step ask: no step makes the field \"probelm\"; did you mean \"problem\"?");
  holds(error_of("steps:\n  - ask: {prompt: x, when: reply was long}\n"),
        "mine.yaml:2: step ask: \"reply was long\" is no condition");
  holds(error_of("steps:\n  - verify: {when: verdikt is right}\n"),
        "mine.yaml:2: step verify: no step makes the field \"verdikt\"");
  holds(error_of("steps:\n  - loop: {rounds: 2}\n"), "mine.yaml:2: step loop: steps is missing");
  holds(error_of("steps:\n  - loop:\n      steps:\n        - verfy\n"),
        "mine.yaml:4: unknown step \"verfy\"");
  holds(error_of("steps:\n  - judge: {prompt: x}\n"), "mine.yaml:2: step judge: rubric is missing");
  holds(error_of("steps:\n  - assemble: {prompt: x}\n"), "mine.yaml:2: step assemble: give either");
  holds(error_of("steps:\n  - assemble: {rows: [{respnse: x}]}\n"),
        "mine.yaml:2: step assemble: row: unknown name \"respnse\"");
  holds(error_of("steps:\n  - choose: {from: a}\n"), "mine.yaml:2: step choose: from and by");
  holds(error_of("steps:\n  - verify\n", {{"q", "0.5"}}), "--set.q");
  holds(error_of("steps:\n  - draw\n", {{"keep", "some"}}), "--set.keep");
}

TEST_CASE("an unknown recipe name lists the known ones") {
  try {
    load_recipe("injekt");
    FAIL("it loaded");
  } catch (const Error& error) {
    holds(error.what(), "did you mean \"inject\"?");
    holds(error.what(), "known: inject, orca, own_errors");
  }
  CHECK_THROWS_WITH(load_recipe("no/such.yaml"), Catch::Contains("no/such.yaml"));
}
