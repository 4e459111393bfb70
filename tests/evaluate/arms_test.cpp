#include "evaluate/arms.h"

#include <catch2/catch.hpp>

#include "reflect/base/file.h"
#include "temp_folder.h"

namespace reflect {
namespace {

// A folder with two checkpoints and an adapter, as far as arms look at them.
struct Folders {
  TempFolder root;
  std::string model = root / "model";
  std::string other = root / "other";
  std::string adapter = root / "adapter";

  Folders() {
    for (const std::string& folder : {model, other, adapter}) make_folder(folder);
    write_file_atomic(model + "/config.json", "{}");
    write_file_atomic(model + "/model.safetensors", "weights");
    write_file_atomic(other + "/config.json", "{\"other\": 1}");
    write_file_atomic(adapter + "/adapter_config.json", "{}");
  }
};

std::vector<std::string> names_of(const std::vector<ArmConfig>& arms) {
  std::vector<std::string> names;
  for (const ArmConfig& arm : arms) names.push_back(arm.name);
  return names;
}

using Names = std::vector<std::string>;

TEST_CASE("model and adapter give arms by flags") {
  const Folders folders;
  EvaluateConfig config;
  CHECK_THROWS_WITH(arms_of(config), Catch::Contains("no model"));
  config.model = folders.model;
  CHECK(names_of(arms_of(config)) == Names{"model"});
  config.adapter = folders.adapter;
  CHECK(names_of(arms_of(config)) == Names{"base", "tuned"});
  config.draft = config.ban_reflection = true;
  const auto arms = arms_of(config);
  CHECK(names_of(arms) == Names{"base", "tuned", "draft", "banned"});
  CHECK(arms[0].adapter.empty());
  CHECK(arms[2].draft);
  CHECK(arms[3].ban_reflection);
  CHECK(arms[3].adapter == folders.adapter);
  CHECK(free_arm_of(arms[2], arms) == 1);
}

TEST_CASE("arms are parsed from one text each") {
  const ArmConfig plain = parse_arm("base=some/folder");
  CHECK(plain.name == "base");
  CHECK(plain.model == "some/folder");
  CHECK(plain.adapter.empty());
  const ArmConfig full = parse_arm("x=m+run/adapter:bare:draft");
  CHECK(full.model == "m");
  CHECK(full.adapter == "run/adapter");
  CHECK(full.draft);
  CHECK(full.system_prompt.empty());
  CHECK(parse_arm("x=m:ban").ban_reflection);
  CHECK_THROWS_WITH(parse_arm("folder"), Catch::Contains("is not NAME=MODEL"));
  CHECK_THROWS_WITH(parse_arm("=folder"), Catch::Contains("is not NAME=MODEL"));
  CHECK_THROWS_WITH(parse_arm("a=m:drafts"), Catch::Contains("unknown suffix \":drafts\""));
}

TEST_CASE("arms that cannot be run are usage errors") {
  const Folders folders;
  const auto error_of = [](const EvaluateConfig& config) {
    try {
      arms_of(config);
    } catch (const Error& error) {
      CHECK(error.exit_code() == ExitCode::kUsage);
      return std::string(error.what());
    }
    return std::string();
  };
  EvaluateConfig config;
  config.arms = {"a=" + folders.model, "a=" + folders.other};
  CHECK_THAT(error_of(config), Catch::Contains("two arms are named \"a\""));
  config.arms = {"a=" + folders.model, "b=" + folders.other + ":draft"};
  CHECK_THAT(error_of(config), Catch::Contains("draft arm \"b\" needs an arm"));
  config.arms = {"a=" + folders.root.path() + "/nowhere"};
  CHECK_THAT(error_of(config), Catch::Contains("has no config.json"));
  config.arms = {"a=" + folders.model + "+" + folders.other};
  CHECK_THAT(error_of(config), Catch::Contains("has no adapter_config.json"));
  config.arms = {"a=" + folders.model};
  config.model = folders.model;
  CHECK_THAT(error_of(config), Catch::Contains("given twice"));
}

TEST_CASE("an arm's hash changes with all that decides its answers and with nothing else") {
  const Folders folders;
  EvaluateConfig config;
  config.model = folders.model;
  const ArmConfig arm = arms_of(config).front();
  const std::string hash = arm_hash(arm, config);
  CHECK(arm_hash(arm, config) == hash);

  EvaluateConfig other = config;
  other.runtime.seed = 5;  // greedy decoding draws nothing
  other.checker = "exact";
  other.engine.max_batch_rows = 1;
  CHECK(arm_hash(arm, other) == hash);
  other.sampling.temperature = 1;
  const std::string sampled = arm_hash(arm, other);
  CHECK(sampled != hash);
  other.runtime.seed = 6;
  CHECK(arm_hash(arm, other) != sampled);

  ArmConfig changed = arm;
  changed.name = "renamed";
  CHECK(arm_hash(changed, config) == hash);
  changed.ban_reflection = true;
  CHECK(arm_hash(changed, config) != hash);
  other = config;
  other.system_prompt = "Think.";
  CHECK(arm_hash(arm, other) != hash);
  write_file_atomic(folders.model + "/model.safetensors", "weighty");
  CHECK(arm_hash(arm, config) != hash);
}

}  // namespace
}  // namespace reflect
