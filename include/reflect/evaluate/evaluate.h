// reflect-eval's job: several models or ways to decode ("arms") on the same problems, compared with
// intervals and paired tests. docs/evaluation.md explains every number.
#pragma once

#include <string>
#include <vector>

#include "reflect/base/error.h"
#include "reflect/base/runtime.h"
#include "reflect/dist/launch.h"
#include "reflect/generate/engine.h"
#include "reflect/model/base_config.h"

namespace reflect {

// One way to answer the problems.
struct ArmConfig {
  std::string name;
  std::string model;
  std::string adapter;
  std::string system_prompt = "inherit";
  bool draft = false;
  bool ban_reflection = false;

  bool operator==(const ArmConfig&) const = default;
  void visit(auto& v) {
    v("name", name, "Name in the report.");
    v("model", model, "Checkpoint folder.");
    v("adapter", adapter, "Adapter folder; empty: none.");
    v("system-prompt", system_prompt,
      "\"inherit\": that of --system-prompt; empty: none, not even the rows' own.");
    v("draft", draft, "Cut the free answer at its first <reflection> and force the output.");
    v("ban-reflection", ban_reflection, "Decode without ever writing <reflection>.");
  }
};

struct EvaluateConfig {
  std::string model;
  std::string adapter;
  BaseConfig base;
  PlacementConfig placement;
  LaunchConfig launch;
  std::string input;
  std::string output;
  std::string ask;
  bool hide_thinking = false;
  std::vector<std::string> arms;
  std::vector<ArmConfig> custom_arms;
  bool draft = false;
  bool ban_reflection = false;
  std::vector<std::string> ban_text = {"<reflection>", "</reflection>"};
  std::string template_name = "auto";
  std::string system_prompt;
  std::string checker = "auto";
  bool answer_fallback = false;
  std::int64_t limit = 0;
  std::int64_t samples = 1;
  std::string group_by;
  std::string train_rows;
  bool allow_overlap = false;
  std::int64_t bootstrap_resamples = 10000;
  SamplingConfig sampling;
  EngineConfig engine;
  RuntimeConfig runtime;

  void visit(auto& v) {
    v("model", model, "Checkpoint folder.");
    v("adapter", adapter, "Adapter folder: arms \"base\" and \"tuned\" are compared.");
    v("base", base, "");
    placement.visit(v);
    v("input", input, "Problems with gold answers, JSON Lines; - is standard input.");
    v("output", output, "Report, JSON; every answer goes to the same name with .rows.jsonl.");
    v("ask", ask, "Answer this one question instead, on standard output.");
    v("hide-thinking", hide_thinking, "With --ask: print only what stands in <output>.");
    v("arms", arms,
      "Arms instead of --model and --adapter: NAME=MODEL[+ADAPTER][:draft|:ban|:bare]; draft cuts "
      "the answer at its first reflection, ban never lets one begin, bare has no system prompt.");
    v("custom-arms", custom_arms, "More arms, with a system prompt of their own.");
    v("draft", draft, "Add the draft arm of the (tuned) model.");
    v("ban-reflection", ban_reflection, "Add the arm of the (tuned) model that cannot reflect.");
    v("ban-text", ban_text, "What the arms that cannot reflect never write.");
    v("template", template_name, "Chat template; auto: the checkpoint's.");
    v("system-prompt", system_prompt, "System prompt of all arms; empty: the rows' own.");
    v("checker", checker, "How an output is compared with the gold answer.",
      {"auto", "number", "choice", "math", "exact", "unit_tests"});
    v("answer-fallback", answer_fallback,
      "Where a text has no <output>, take the answer that it ends with (stated in the report).");
    v("limit", limit, "Only the first N problems; 0: all.");
    v("samples", samples, "Answers per problem; more than 1 need a temperature.");
    v("group-by", group_by, "Also show accuracy by this field of the rows.");
    v("train-rows", train_rows, "Training rows to look for the problems in (contamination).");
    v("allow-overlap", allow_overlap, "Go on when a problem is among the training rows.");
    v("bootstrap-resamples", bootstrap_resamples, "Resamples of the bootstrap intervals.");
    v("sampling", sampling, "");
    v("engine", engine, "");
    v("launch", launch, "");
    runtime.visit(v);
  }
};

// Evaluates, or answers one question, as the configuration says. The processes of a job share the
// answers out; the first one does all else.
ExitCode evaluate(const EvaluateConfig& config);

}  // namespace reflect
