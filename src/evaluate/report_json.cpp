// The report as JSON: the file that --output names.
#include <torch/headeronly/version.h>

#include "evaluate/report.h"
#include "reflect/base/config.h"

namespace reflect {
namespace {

Json json_of(const Interval& interval) {
  return Json::array({interval.low, interval.high});
}

Json json_of(const Accuracy& accuracy) {
  return {{"accuracy", accuracy.value},
          {"interval_95", json_of(accuracy.interval)},
          {"problems", accuracy.problems}};
}

Json json_of(const PromptUse& prompts) {
  return {
      {"asked", prompts.asked}, {"trained", prompts.trained}, {"agreement", prompts.agreement()}};
}

Json json_of(const ArmReport& arm) {
  const ArmSummary& summary = arm.summary;
  Json json = {{"name", arm.config.name},
               {"model", arm.config.model},
               {"adapter", arm.config.adapter},
               {"system_prompt", arm.config.system_prompt},
               {"draft", arm.config.draft},
               {"ban_reflection", arm.config.ban_reflection},
               {"hash", arm.hash},
               {"system_prompts", json_of(arm.prompts)}};
  json.update(json_of(summary.accuracy));
  json.update(Json{{"majority_accuracy", summary.majority_accuracy},
                   {"answers", summary.answers},
                   {"right", summary.right},
                   {"prompt_tokens", summary.prompt_tokens},
                   {"new_tokens", summary.new_tokens},
                   {"reflections", summary.reflections},
                   {"with_reflection", summary.with_reflection},
                   {"without_output", summary.without_output},
                   {"by_fallback", summary.by_fallback},
                   {"finishes", summary.finishes},
                   {"issues", summary.issues}});
  for (const auto& [group, accuracy] : summary.of_group) json["groups"][group] = json_of(accuracy);
  return json;
}

Json json_of(const PairSummary& pair) {
  return {{"first", pair.first},           {"second", pair.second},
          {"difference", pair.difference}, {"interval_95", json_of(pair.interval)},
          {"gained", pair.gained},         {"lost", pair.lost},
          {"mcnemar_exact_p", pair.p}};
}

Json json_of(const DraftSummary& draft) {
  return {{"draft", draft.draft},
          {"final", draft.final},
          {"answers", draft.answers},
          {"reflected", draft.reflected},
          {"repaired", draft.repaired},
          {"broke", draft.broke},
          {"stayed_right", draft.stayed_right},
          {"stayed_wrong", draft.stayed_wrong},
          {"let_pass", draft.let_pass},
          {"missed", draft.missed},
          {"base", draft.base},
          {"base_right", draft.base_right},
          {"erred_first", draft.erred_first}};
}

template <class Item>
Json json_list(const std::vector<Item>& items) {
  Json list = Json::array();
  for (const Item& item : items) list.push_back(json_of(item));
  return list;
}

Json settings_of(EvaluateConfig config) {
  Json settings;
  for (const Field& field : fields_of(config)) {
    if (!std::holds_alternative<StructList>(field.value)) settings[field.path] = text_of(field);
  }
  return settings;
}

}  // namespace

Json json_of(const Report& report) {
  Json json = {{"tool", "reflect-eval"},      {"version", REFLECT_VERSION},
               {"libtorch", TORCH_VERSION},   {"settings", settings_of(report.config)},
               {"problems", report.problems}, {"rejected_rows", report.rejected}};
  if (report.contamination) {
    const Contamination& found = *report.contamination;
    json["contamination"] = {{"train_rows", found.train_rows},
                             {"rows", found.rows},
                             {"exact", found.exact},
                             {"partial", found.partial}};
  }
  json["arms"] = json_list(report.arms);
  json["pairs"] = json_list(report.pairs);
  json["drafts"] = json_list(report.drafts);
  return json;
}

}  // namespace reflect
