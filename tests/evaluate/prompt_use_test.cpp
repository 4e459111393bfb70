#include "evaluate/prompt_use.h"

#include <catch2/catch.hpp>

#include "reflect/base/hash.h"
#include "temp_folder.h"

namespace reflect {
namespace {

const std::vector<Problem> kProblems = {{"a", "", {{"system", "Think."}, {"user", "1?"}}, "1", ""},
                                        {"b", "", {{"user", "2?"}}, "2", ""}};

// An arm whose adapter lies in a training run's folder that recorded `prompts`.
ArmConfig arm_trained_with(const TempFolder& run, const std::string& prompts) {
  make_folder(run / "adapter");
  write_file_atomic(run / "run.json", R"({"system_prompt_hashes": )" + prompts + "}");
  ArmConfig arm;
  arm.model = "elsewhere";
  arm.adapter = run / "adapter/";
  return arm;
}

TEST_CASE("prompts are counted as the arm sends them") {
  EvaluateConfig config;
  ArmConfig arm;
  arm.model = "elsewhere";
  const PromptUse own = prompt_use_of(arm, kProblems, config);
  CHECK(own.asked == std::map<std::string, std::int64_t>{{content_hash("Think."), 1}, {"none", 1}});
  CHECK(own.agreement() == "unknown");
  config.system_prompt = "Reflect.";
  CHECK(prompt_use_of(arm, kProblems, config).asked ==
        std::map<std::string, std::int64_t>{{content_hash("Reflect."), 2}});
  arm.system_prompt.clear();
  CHECK(prompt_use_of(arm, kProblems, config).asked ==
        std::map<std::string, std::int64_t>{{"none", 2}});
}

TEST_CASE("prompts are compared with those of the training run") {
  const TempFolder run;
  EvaluateConfig config;
  config.system_prompt = "Think.";
  const std::string think = "{\"" + content_hash("Think.") + "\": 7}";
  CHECK(prompt_use_of(arm_trained_with(run, think), kProblems, config).agreement() == "same");
  CHECK(prompt_use_of(arm_trained_with(run, "{\"none\": 7}"), kProblems, config).agreement() ==
        "different");
  CHECK(prompt_use_of(arm_trained_with(run, "{}"), kProblems, config).agreement() == "unknown");
}

}  // namespace
}  // namespace reflect
