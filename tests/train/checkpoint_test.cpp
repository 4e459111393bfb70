#include "reflect/train/checkpoint.h"

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <limits>
#include <thread>

#include "reflect/base/error.h"
#include "reflect/base/file.h"
#include "reflect/train/background_save.h"
#include "temp_folder.h"

using namespace reflect;
namespace fs = std::filesystem;

namespace {

void save(CheckpointStore& store, std::int64_t step) {
  store.save(step, {{"step", step}}, [&](const std::string& folder) {
    write_file_atomic(folder + "/weights", std::to_string(step));
  });
}

}  // namespace

TEST_CASE("the newest checkpoints stay, older ones go") {
  const TempFolder folder;
  CheckpointStore store(folder.path(), {.newest = 2});
  CHECK_FALSE(store.newest());
  for (std::int64_t step : {8, 9, 10}) save(store, step);
  CHECK(store.newest() == folder / "step-10");
  CHECK(read_file(folder / "step-10/weights") == "10");
  CHECK(fs::exists(folder / "step-9"));
  CHECK_FALSE(fs::exists(folder / "step-8"));
}

TEST_CASE("the checkpoints with the lowest held-out loss stay, too") {
  const TempFolder folder;
  CheckpointStore store(folder.path(), {.newest = 1, .best = 2});
  const std::vector<double> losses = {3, 1, 2, 4, 1.5};
  for (std::size_t i = 0; i < losses.size(); ++i) {
    const bool best = std::ranges::count_if(losses.begin(), losses.begin() + i,
                                            [&](double l) { return l <= losses[i]; }) < 2;
    CHECK(store.is_among_best(losses[i]) == best);
    store.save(static_cast<std::int64_t>(i + 1), {{"heldout_loss", losses[i]}},
               [](const std::string&) {});
  }
  save(store, 6);
  CHECK(store.best() == folder / "step-2");
  CHECK(store.newest() == folder / "step-6");
  for (const int step : {1, 3, 4})
    CHECK_FALSE(fs::exists(fmt::format("{}/step-{}", folder.path(), step)));
  CHECK(fs::exists(folder / "step-5"));
  CHECK_FALSE(store.is_among_best(std::numeric_limits<double>::quiet_NaN()));
}

TEST_CASE("a checkpoint without its marker does not count") {
  const TempFolder folder;
  CheckpointStore store(folder.path(), {.newest = 2});
  save(store, 3);
  make_folder(folder / "step-7");
  write_file_atomic(folder / "step-7/weights", "half");
  make_folder(folder / "step-x");
  CHECK(store.newest() == folder / "step-3");
}

TEST_CASE("a failed save says so and leaves the last good checkpoint") {
  const TempFolder folder;
  CheckpointStore store(folder.path(), {.newest = 1});
  save(store, 3);
  const auto full_disk = [](const std::string& path) {
    write_file_atomic(path + "/weights", "half");
    fail("file", "no space left");
  };
  REQUIRE_THROWS_WITH(store.save(4, {}, full_disk),
                      Catch::Contains("no space left") && Catch::Contains("step-3"));
  CHECK(store.newest() == folder / "step-3");
  CHECK(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()) == 1);
}

TEST_CASE("what goes wrong in a save behind training is thrown once, by whoever asks next") {
  BackgroundSave background;
  std::atomic<bool> go = false;
  background.start([&] {
    while (!go) std::this_thread::yield();
    fail("checkpoint", "disk full");
  });
  CHECK_NOTHROW(background.check());  // it is still at work
  go = true;
  const auto ask = GENERATE(0, 1);
  CAPTURE(ask);
  if (ask == 0)
    CHECK_THROWS_WITH(background.wait(), Catch::Contains("disk full"));
  else
    CHECK_THROWS_WITH(background.start([] {}), Catch::Contains("disk full"));
  CHECK_NOTHROW(background.wait());
  bool saved = false;
  background.start([&] { saved = true; });
  background.wait();
  CHECK(saved);
}

TEST_CASE("a folder is replaced whole") {
  const TempFolder folder;
  const std::string path = folder / "result";
  for (const char* name : {"first", "second"})
    write_folder_atomic(path,
                        [&](const std::string& f) { write_file_atomic(f + "/" + name, "x"); });
  CHECK(fs::exists(path + "/second"));
  CHECK_FALSE(fs::exists(path + "/first"));
  CHECK(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()) == 1);
}

TEST_CASE("state goes through JSON unchanged") {
  const TrainState state{.step = 7,
                         .position = {2, 3},
                         .tokens = 11,
                         .trained_tokens = 5,
                         .skipped_steps = 2,
                         .skipped_in_a_row = 1};
  CHECK(json_of(train_state_of(json_of(state))) == json_of(state));
}

TEST_CASE("another setting is refused by name") {
  const nlohmann::ordered_json saved = {{"optimizer.lr", "0.1"}, {"seed", "0"}};
  nlohmann::ordered_json now = saved;
  CHECK_NOTHROW(require_same_run(saved, now, "run"));
  now["optimizer.lr"] = "0.2";
  CHECK_THROWS_WITH(require_same_run(saved, now, "run"), Catch::Contains("optimizer.lr"));
}
