#include "recipes/manifest.h"

#include "reflect/base/config.h"
#include "reflect/base/hash.h"

namespace reflect {
namespace {

// Of each teacher what a reader of the data wants to know; all settings stand apart.
Json models_of(const SynthesizeConfig& config) {
  Json models = Json::array();
  const auto add = [&](const TeacherConfig& teacher) {
    Json model = {{"kind", teacher.kind}};
    if (!teacher.name.empty()) model["name"] = teacher.name;
    if (!teacher.model.empty()) model["model"] = teacher.model;
    if (!teacher.adapter.empty()) model["adapter"] = teacher.adapter;
    if (is_asked(teacher)) model["temperature"] = teacher.sampling.temperature;
    models.push_back(std::move(model));
  };
  add(config.teacher);
  for (const TeacherConfig& teacher : config.teachers) add(teacher);
  return models;
}

void add_settings(const SynthesizeConfig& config, Json& json) {
  SynthesizeConfig copy = config;
  for (const Field& field : fields_of(copy)) {
    if (!std::holds_alternative<StructList>(field.value)) {
      json["settings"][field.path] = text_of(field);
    }
  }
  for (TeacherConfig& teacher : copy.teachers) {
    Json settings;
    for (const Field& field : fields_of(teacher)) settings[field.path] = text_of(field);
    json["teachers"].push_back(std::move(settings));
  }
}

}  // namespace

Json manifest_of(const RunFacts& facts) {
  const RunLineage& run = facts.lineage;
  Json json = {{"tool", "reflect-gen " REFLECT_VERSION},
               {"recipe", run.recipe},
               {"recipe_summary", facts.recipe.summary},
               {"recipe_hash", run.recipe_hash},
               {"system_prompt", run.system_prompt},
               {"system_prompt_hash", run.system_prompt_hash},
               {"teacher", run.teacher},
               {"models", models_of(facts.config)},
               {"seed", run.seed},
               {"format", facts.config.format}};
  add_settings(facts.config, json);
  json["counts"] = json_of(facts.counts);
  json["error_profile"]["own"] = json_of(facts.counts.errors);
  if (facts.recipe.error_profile) {
    json["error_profile"]["wanted"] = json_of(*facts.recipe.error_profile);
  }
  if (facts.replies != nullptr) json["replies"] = json_of(*facts.replies);
  return json;
}

}  // namespace reflect
