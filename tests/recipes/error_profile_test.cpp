// Error profiles: measured from recorded mistakes, read and written, and followed by what is
// injected. Bounds are five standard deviations of the counts; seeds are fixed.
#include "reflect/recipes/error_profile.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "recipes/inject.h"
#include "recipes/mistake_kind.h"
#include "reflect/base/error.h"
#include "reflect/base/file.h"
#include "shared_data.h"
#include "temp_folder.h"

using namespace reflect;

namespace {

CorruptStep corrupt_step() {
  const Recipe recipe = load_recipe("inject");
  for (const RecipeStep& step : recipe.steps) {
    if (const auto* corrupt = std::get_if<CorruptStep>(&step.settings)) return *corrupt;
  }
  throw std::runtime_error("the recipe inject has no step corrupt");
}

struct Injected {
  ErrorProfile profile;
  int traces = 0, clean = 0;
};

Injected inject_many(const CorruptStep& step, const std::string& family,
                     const std::string& operations, int count) {
  ProceduralConfig config;
  config.family = {family};
  config.operations = {operations};
  const ProblemGenerator generator(config, 17);
  const InjectPlan plan(step);
  Injected all;
  RedrawCounts redrawn{};
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    const InjectedTrace trace =
        inject(plan, generator.family_of(i), generator.make(i), Random(5, "profile", {i}), redrawn);
    ++all.traces;
    all.clean += trace.errors.empty() ? 1 : 0;
    for (const InjectedError& error : trace.errors) {
      all.profile.add(std::string(name_of(error.kind)), error.place, error.noticed_after);
    }
  }
  return all;
}

// Whether a share of `count` draws fits its probability.
bool fits(double share, double probability, double count) {
  return std::abs(share - probability) <= 5 * std::sqrt(probability * (1 - probability) / count);
}

void check_followed(const Injected& made, const ErrorProfile& wanted) {
  for (const ProfileLine& line : compare(made.profile, &wanted)) {
    INFO(line.name << " " << line.own << " of " << made.profile.mistakes << ", wanted "
                   << line.wanted.value_or(-1));
    if (line.wanted)
      CHECK(fits(line.own, *line.wanted, static_cast<double>(made.profile.mistakes)));
  }
}

std::string kind(const char* left, const char* expected, const char* written) {
  return std::string(name_of(kind_of_equation(left, expected, written)));
}

}  // namespace

TEST_CASE("the kind of a recorded mistake is told by what explains its number") {
  CHECK(kind("2 + 3 * 4", "14", "20") == "precedence");
  CHECK(kind("20 - 2 * 3 + 1", "15", "55") == "precedence");
  CHECK(kind("(2 + 3) * 4", "20", "14") == "wrong_result");
  CHECK(kind("3 * 4", "12", "7") == "wrong_operation");
  CHECK(kind("(9 - 2) * 5", "35", "55") == "wrong_operation");
  CHECK(kind("12 + 5", "17", "18") == "off_by_one");
  CHECK(kind("$1,200 * 3", "3600", "$3,599") == "off_by_one");
  CHECK(kind("12 + 5", "17", "27") == "wrong_result");
  CHECK(kind("0.5 * 7", "3.5", "4.5") == "off_by_one");
  CHECK(kind("7 + 8 + 9", "24", "7 + 6 + 9") == "copied_wrong");
  CHECK(kind("7 - -7 * 4", "35", "7 - 28") == "wrong_result");
  CHECK(kind("(3 - 5)", "a part of the problem", "(3 + 5)") == "copied_wrong");
  CHECK(kind("x", "", "y") == "wrong_result");
}

TEST_CASE("a step counts for the parts of the solution that it lies in") {
  ErrorProfile profile;
  profile.add("wrong_result", StepPlace{0, 4}, 2);
  CHECK(profile.positions[0] == Approx(0.4));
  CHECK(profile.positions[1] == Approx(0.4));
  CHECK(profile.positions[2] == Approx(0.2));
  CHECK(profile.positions[3] == 0);
  CHECK(profile.weight_of({0, 4}) == Approx(0.9));
  CHECK(profile.weight_of({3, 4}) == 0);
  CHECK(ErrorProfile().weight_of({2, 5}) == Approx(0.2));
  profile.add("", std::nullopt, std::nullopt);
  CHECK(profile.mistakes == 2);
  CHECK(profile.told() == 1);
  CHECK(profile.notice_after == std::vector<double>{0, 0, 1});
}

TEST_CASE("a profile is read as it was written, and mistakes in one are named") {
  const TempFolder folder;
  const std::string path = folder / "profile.json";
  ErrorProfile profile;
  profile.add("precedence", StepPlace{1, 2}, 0);
  profile.add("wrong_result", StepPlace{0, 5}, 1);
  write_file_atomic(path, json_of(profile).dump());
  const ErrorProfile read = read_error_profile(path);
  CHECK(json_of(read) == json_of(profile));
  CHECK(read.kinds.at("precedence") == 0.5);

  const auto says = [&](const std::string& text, const std::string& expected) {
    write_file_atomic(path, text);
    CHECK_THROWS_WITH(read_error_profile(path), Catch::Contains(path) && Catch::Contains(expected));
  };
  says("[]", "no JSON object");
  says("{", "parse error");
  says("{}", "neither kinds nor positions");
  says(R"({"kinds": {"precedenze": 1}})", "did you mean 'precedence'?");
  says(R"({"kinds": {"precedence": -1}})", "no weight");
  says(R"({"kinds": {"precedence": 0}})", "all 0");
  says(R"({"positions": [1, 2]})", "has 2 weights");
  says(R"({"notice_after": "1"})", "no list");
  says(R"({"kind": {"precedence": 1}})", "'kind' is not known");
}

TEST_CASE("injected mistakes follow a profile's kinds, places and notice") {
  CorruptStep step = corrupt_step();
  step.clean_fraction = 0;
  ErrorProfile wanted;
  wanted.kinds = {{"wrong_result", 5}, {"off_by_one", 3}, {"copied_wrong", 2}};
  SECTION("one mistake a trace, at places that later notice does not cut") {
    step.q = 0;
    wanted.positions = {4, 1, 3, 0, 2, 0, 0, 0, 0, 0};
    wanted.notice_after = {0.5, 0.3, 0.2};
    step.profile = wanted;
    const Injected made = inject_many(step, "sorting", "10", 3000);
    CHECK(made.clean == 0);
    CHECK(made.profile.mistakes == 3000);
    check_followed(made, wanted);
  }
  SECTION("several mistakes, noticed at once") {
    step.q = 0.2;
    wanted.positions = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    wanted.notice_after = {1};
    step.profile = wanted;
    const Injected made = inject_many(step, "words", "5", 2000);
    CHECK(made.clean == 0);
    CHECK(made.profile.mistakes > 2400);  // binomial of 5 draws, at least 1: 1.33 a trace
    CHECK(made.profile.mistakes < 2900);
    check_followed(made, wanted);
  }
  SECTION("a kind that fits few steps is sought where it fits") {
    step.q = 0;
    wanted.kinds = {{"wrong_result", 1}, {"precedence", 1}};
    step.profile = wanted;
    const Injected made = inject_many(step, "arithmetic", "8", 1500);
    const double share = made.profile.kinds.at("precedence") / made.profile.told();
    // Step by step it is drawn wherever it does not fit, too.
    step.profile.reset();
    step.kinds = {"wrong_result", "precedence"};
    step.q = 0.125;
    const ErrorProfile plain = inject_many(step, "arithmetic", "8", 1500).profile;
    const double plain_share = plain.kinds.at("precedence") / plain.told();
    INFO(share << " " << plain_share);
    CHECK(share > 1.5 * plain_share);
    CHECK(share < 0.5);  // a problem may have no step for it
  }
}

TEST_CASE("the share of traces without a mistake is as asked where each other has one") {
  CorruptStep step = corrupt_step();
  step.q = 0.1;
  step.clean_fraction = 0.3;
  step.at_least_one = true;
  const Injected made = inject_many(step, "words", "3", 3000);
  CHECK(fits(made.clean / 3000.0, 0.3, 3000));
  step.at_least_one = false;
  CHECK(inject_many(step, "words", "3", 3000).clean > 1800);  // 0.3 + 0.7 * 0.9^3
}

TEST_CASE("too early attempts are capped unless a higher limit is given") {
  CorruptStep step = corrupt_step();
  step.clean_fraction = 0;
  const auto attempts = [&](double q, double limit) {
    step.q = q;
    step.max_too_early = limit;
    return static_cast<double>(inject_many(step, "graph", "6", 1500).profile.mistakes);
  };
  const double at_limit = attempts(0.2, 1), capped = attempts(0.6, 0.2), free = attempts(0.6, 1);
  // Counts of attempts are sums of geometric numbers: their variance is below twice their mean.
  CHECK(std::abs(capped - at_limit) < 5 * std::sqrt(4 * at_limit));
  CHECK(free > 3 * at_limit);
  step.kinds = {"wrong_result", "too_early"};
  step.q = 0.8;
  step.max_too_early = 0.2;
  const Injected mixed = inject_many(step, "words", "8", 1500);
  const double share = mixed.profile.kinds.at("too_early") / mixed.profile.told();
  INFO(share);
  CHECK(share < 0.3);
}

TEST_CASE("the profile of recorded mistakes: marked steps, wrong equations, own rows") {
  const TempFolder folder;
  const std::string path = folder / "rows.jsonl";
  write_file_atomic(
      path,
      R"j({"input": "((2 + 3) * (4 - 1)) =", "target": "15", "answer": "20", "mistake_index": 1, "steps": ["A = (2 + 3) = 5.", "B = (4 - 1) = 4.", "A * B = 5 * 4 = 20. So the answer is 20"]})j"
      "\n"
      R"({"question": "3 * 4 + 5?", "ground_truth": "3 * 4 + 5 = 17\nA: 17", "a": {"is_correct": false, "solution": "3 * 4 = 7\n7 + 5 = 12\nA: 12"}, "b": {"is_correct": false, "solution": "3 + 4 = 7\nA: 7"}, "c": {"is_correct": true, "solution": "3 * 4 = 12\n12 + 5 = 17\nA: 17"}})"
      "\n"
      R"({"prompt": "1 + 1?", "response": "2", "lineage": {"errors": [{"round": 1, "kind": "skipped_step", "position": [2, 4], "noticed_after": 1}]}})"
      "\nnot JSON\n");
  const MeasuredProfile measured = measure_profile(path);
  CHECK(measured.solutions == 5);
  CHECK(measured.wrong == 4);
  CHECK(measured.without_place == 1);
  CHECK(measured.refused == 1);
  const ErrorProfile& profile = measured.profile;
  CHECK(profile.mistakes == 3);
  CHECK(profile.kinds ==
        std::map<std::string, double>{{"wrong_operation", 2}, {"skipped_step", 1}});
  CHECK(profile.notice_after == std::vector<double>{0, 1});
  CHECK(profile.positions[4] == Approx(0.3 + 0.2));
}

TEST_CASE("real mistakes have a profile, and what is injected by it follows it") {
  const auto folder = shared_data();
  if (!folder) return;
  const MeasuredProfile measured =
      measure_profile(*folder + "/big_bench_mistake/multistep_arithmetic.jsonl");
  CHECK(measured.solutions == 150);
  CHECK(measured.profile.mistakes > 100);
  CHECK(measured.profile.told() > 80);
  // Mistakes of this sample come late: the first step only names parts.
  CHECK(measured.profile.positions.front() < measured.profile.positions.back());
  CorruptStep step = corrupt_step();
  step.q = 0;
  step.clean_fraction = 0;
  step.profile = measured.profile;
  const Injected made = inject_many(step, "arithmetic", "10", 1000);
  for (const ProfileLine& line : compare(made.profile, &measured.profile)) {
    INFO(line.name << " " << line.own << " " << line.wanted.value_or(-1));
    if (line.wanted) CHECK(std::abs(line.own - *line.wanted) < 0.1);
  }
}
