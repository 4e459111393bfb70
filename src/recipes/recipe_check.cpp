#include "recipes/recipe_check.h"

#include <algorithm>
#include <optional>

#include "recipes/compare_answers.h"
#include "recipes/corruption.h"
#include "recipes/fields.h"
#include "recipes/inject.h"
#include "recipes/mend.h"
#include "reflect/base/config.h"
#include "reflect/base/error.h"
#include "reflect/data/language.h"

namespace reflect {
namespace {

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

std::optional<std::string> problem_with(const Asking& asking);

std::optional<std::string> problem_with(const DrawStep& step) {
  if (step.clean_fraction < 0 || step.clean_fraction > 1) {
    return fmt::format("clean_fraction {} is not from 0 to 1", step.clean_fraction);
  }
  if (step.samples < 0) return fmt::format("samples {} is negative", step.samples);
  return problem_with(step.asking);
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
  if (step.at_least_one && step.q == 0) return "at_least_one needs a q above 0";
  if (step.max_too_early < 0 || step.max_too_early > 1) {
    return fmt::format("max_too_early {} is not from 0 to 1", step.max_too_early);
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

// With a text of its own a step needs no wordings.
std::optional<std::string> problem_with(const MendStep& step) {
  WordingUse use{mend_wordings(), mend_wordings(), mend_fields()};
  if (!step.reflection.empty()) use.needed.clear();
  return problem_with_wordings(step.reflections, use);
}

std::optional<std::string> problem_with(const Asking& asking) {
  if (asking.temperature < 0 && asking.temperature != -1) {
    return fmt::format("temperature {} is negative; -1 is the teacher's", asking.temperature);
  }
  if (asking.top_p < 0 || asking.top_p > 1) {
    return fmt::format("top_p {} is not from 0 to 1", asking.top_p);
  }
  if (asking.max_new_tokens < 0) {
    return fmt::format("max_new_tokens {} is negative", asking.max_new_tokens);
  }
  return std::nullopt;
}

std::optional<std::string> problem_with(const AskStep& step) {
  if (step.asking.prompt.empty()) return "prompt is missing: what the model is asked";
  if (step.samples < 1) return fmt::format("samples {} is not 1 or more", step.samples);
  if (!step.conversation.empty() && (!step.each.empty() || step.samples != 1)) {
    return "a conversation has one reply at a time: neither each nor samples";
  }
  return problem_with(step.asking);
}

std::optional<std::string> problem_with(const JudgeStep& step) {
  if (step.asking.prompt.empty()) return "prompt is missing: what the judge is asked";
  if (step.rubric.empty()) return "rubric is missing: the criteria";
  if (step.scale < 2) return fmt::format("scale {} is not 2 or more", step.scale);
  if (step.at_least < 0 || step.at_least > static_cast<double>(step.scale)) {
    return fmt::format("at_least {} is not on the scale to {}", step.at_least, step.scale);
  }
  return problem_with(step.asking);
}

// A question is only asked where the checker is a model.
std::optional<std::string> problem_with_judge(const Asking& asking, const std::string& checker) {
  if (checker != kJudge && !(asking.prompt.empty() && asking.teacher.empty())) {
    return fmt::format("teacher and prompt are for the checker judge, not for {}", checker);
  }
  return problem_with(asking);
}

std::optional<std::string> problem_with(const VoteStep& step) {
  if (step.field.empty()) return "field is missing: the list of answers";
  if (step.at_least < 0 || step.at_least > 1) {
    return fmt::format("at_least {} is not from 0 to 1", step.at_least);
  }
  return std::nullopt;
}

std::optional<std::string> problem_with(const ChooseStep& step) {
  if (step.from.empty() || step.by.empty()) return "from and by are needed: elements and scores";
  return std::nullopt;
}

std::optional<std::string> problem_with(const PickStep& step) {
  if (step.from.empty()) return "from is missing: the list to pick from";
  return std::nullopt;
}

std::optional<std::string> problem_with(const RequireStep& step) {
  const bool bounds =
      step.min_length > 0 || step.max_length > 0 || step.at_least > 0 || !step.language.empty();
  if (bounds && step.field.empty()) return "field is missing: whose length or language is bounded";
  for (const std::string& language : step.language) {
    if (std::ranges::find(language_codes(), language) != language_codes().end()) continue;
    return fmt::format("language: \"{}\" is not known; known: {}", language,
                       fmt::join(language_codes(), ", "));
  }
  if (!bounds && step.that.field.empty())
    return "nothing is required: give that, or field and bounds";
  if (step.at_least > 0 && step.of.empty()) return "of is missing: what at_least compares with";
  return std::nullopt;
}

std::optional<std::string> problem_with(const LoopStep& step) {
  if (step.rounds < 1) return fmt::format("rounds {} is not 1 or more", step.rounds);
  return std::nullopt;
}

std::optional<std::string> problem_with(const AssembleStep& step) {
  if (step.rows.empty() == step.row.response.empty()) {
    return "give either response, or rows with a response each";
  }
  for (const AssembledTexts& row : step.rows) {
    if (row.response.empty() || row.variant.empty()) return "each row needs variant and response";
  }
  return std::nullopt;
}

std::optional<std::string> problem_with(const CheckStep& step) {
  return problem_with_judge(step.asking, step.checker);
}

std::optional<std::string> problem_with(const VerifyStep& step) {
  return problem_with_judge(step.asking, step.checker);
}

std::optional<std::string> problem_with(const DistinctStep& step) {
  if (step.field.empty()) return "field is missing: the text that is compared";
  if (!(step.similarity > 0 && step.similarity <= 1)) {
    return fmt::format("similarity {} is not above 0 and at most 1", step.similarity);
  }
  if (step.shingle_words < 1) {
    return fmt::format("shingle_words {} is not 1 or more", step.shingle_words);
  }
  return std::nullopt;
}

template <class Step>
std::optional<std::string> problem_with(const Step&) {
  return std::nullopt;
}

using Names = std::vector<std::string>;

// The name of a tag without the mark that it may lack.
std::string tag_name(std::string tag) {
  if (tag.ends_with('?')) tag.pop_back();
  return tag;
}

struct FieldsMade {
  Names operator()(const AskStep& step) const {
    Names names = {step.into};
    for (const std::string& tag : step.tags) names.push_back(tag_name(tag));
    if (!step.conversation.empty()) {
      names.push_back(step.conversation);
      names.push_back(step.conversation + "_replies");
    }
    return names;
  }
  Names operator()(const JudgeStep& step) const {
    return {step.into, step.into + "_score", step.into + "_text"};
  }
  Names operator()(const CheckStep& step) const { return {step.into}; }
  Names operator()(const VoteStep& step) const { return {step.into}; }
  Names operator()(const ChooseStep& step) const { return {step.into}; }
  Names operator()(const PickStep& step) const { return {step.into}; }
  template <class Step>
  Names operator()(const Step&) const {
    return {};
  }
};

// Settings that name fields.
struct FieldsRead {
  Names operator()(const AskStep& step) const { return {step.each}; }
  Names operator()(const CheckStep& step) const { return {step.field}; }
  Names operator()(const VoteStep& step) const { return {step.field}; }
  Names operator()(const ChooseStep& step) const { return {step.from, step.by}; }
  Names operator()(const PickStep& step) const { return {step.from}; }
  Names operator()(const RequireStep& step) const { return {step.that.field, step.field, step.of}; }
  Names operator()(const DistinctStep& step) const { return {step.field}; }
  Names operator()(const LoopStep& step) const { return {step.until.field}; }
  Names operator()(const AssembleStep& step) const { return step.lineage; }
  Names operator()(const LocateStep& step) const {
    const bool quotes = std::ranges::find(step.by, "quote") != step.by.end();
    return quotes ? Names{step.quote} : Names{};
  }
  template <class Step>
  Names operator()(const Step&) const {
    return {};
  }
};

// Fields that only the texts of one step see.
Names own_fields(const RecipeStep& step) {
  if (std::holds_alternative<AskStep>(step.settings)) return {"item", "number"};
  if (std::holds_alternative<JudgeStep>(step.settings)) return {"rubric"};
  if (std::holds_alternative<CheckStep>(step.settings) ||
      std::holds_alternative<VerifyStep>(step.settings)) {
    return {"item", "against"};
  }
  return {};
}

// Visits a step's settings and collects the fields that its texts name.
class TextVisitor {
 public:
  template <class T>
  void operator()(std::string_view, T& value, std::string_view, Names = {}) {
    if constexpr (std::is_same_v<T, TextTemplate>) {
      for (const std::string_view field : value.fields()) names_.emplace_back(field);
    } else if constexpr (std::is_same_v<T, std::vector<AssembledTexts>>) {
      for (AssembledTexts& texts : value) texts.visit(*this);
    }
  }
  const Names& names() const { return names_; }

 private:
  Names names_;
};

void check_fields(const RecipeStep& step, const Names& known) {
  Names names = std::visit(FieldsRead{}, step.settings);
  for (const Condition& condition : step.when) names.push_back(condition.field);
  TextVisitor texts;
  StepSettings copy = step.settings;
  std::visit([&](auto& each) { each.visit(texts); }, copy);
  const Names own = own_fields(step);
  for (const std::string& name : texts.names()) {
    if (std::ranges::find(own, name) == own.end()) names.push_back(name);
  }
  for (const std::string& name : names) {
    if (name.empty() || std::ranges::find(known, name) != known.end()) continue;
    const std::string nearest = nearest_name(name, known);
    fail_usage("recipe", "{}: step {}: no step makes the field \"{}\"; {}", step.place, step.kind(),
               name,
               nearest.empty() ? fmt::format("known: {}", fmt::join(known, ", "))
                               : "did you mean \"" + nearest + "\"?");
  }
}

}  // namespace

std::vector<std::string> fields_made(const Recipe& recipe) {
  Names made;
  for (const RecipeStep& step : recipe.steps) {
    for (std::string& name : std::visit(FieldsMade{}, step.settings)) {
      if (name.empty()) fail_usage("recipe", "{}: a field has no name", step.place);
      made.push_back(std::move(name));
    }
  }
  return made;
}

void check_recipe(const Recipe& recipe) {
  Names known = given_fields();
  for (const auto& [name, texts] : recipe.constants) known.push_back(name);
  for (std::string& name : fields_made(recipe)) known.push_back(std::move(name));
  for (const RecipeStep& step : recipe.steps) {
    const auto reason =
        std::visit([](const auto& each) { return problem_with(each); }, step.settings);
    if (reason) fail_usage("recipe", "{}: step {}: {}", step.place, step.kind(), *reason);
  }
  for (const RecipeStep& step : recipe.steps) check_fields(step, known);
}

}  // namespace reflect
