#include "reflect/train/schedule.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "reflect/base/file.h"

using namespace reflect;

TEST_CASE("learning-rate factors are those of transformers' schedules") {
  const auto cases =
      nlohmann::json::parse(read_file(REFLECT_SOURCE_DIR "/tests/golden/train/schedule.json"));
  REQUIRE(cases.size() == 6);
  for (const auto& item : cases) {
    ScheduleConfig config;
    config.type = item["type"];
    config.warmup_steps = item["warmup_steps"];
    config.warmup_ratio = 0;
    const std::int64_t total = item["total_steps"];
    for (std::int64_t step = 0; step < total; ++step) {
      CAPTURE(config.type, step);
      CHECK(schedule_factor(config, step, total) ==
            Approx(item["factors"][step].get<double>()).margin(1e-12));
    }
  }
}

TEST_CASE("warm-up ratio becomes steps, rounded up; steps win over the ratio") {
  ScheduleConfig config;
  config.warmup_ratio = 0.06;
  CHECK(warmup_steps_of(config, 101) == 7);
  config.warmup_steps = 3;
  CHECK(warmup_steps_of(config, 101) == 3);
}

TEST_CASE("a schedule ends at min_lr_ratio of the peak") {
  ScheduleConfig config;
  config.warmup_ratio = 0;
  config.min_lr_ratio = 0.1;
  for (const char* type : {"cosine", "linear"}) {
    config.type = type;
    CHECK(schedule_factor(config, 0, 10) == Approx(1));
    CHECK(schedule_factor(config, 10, 10) == Approx(0.1));
  }
}
