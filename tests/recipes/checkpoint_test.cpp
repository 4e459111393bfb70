// What a run leaves for the next one: the checkpoint, sources that are read over, files that grow.
#include "recipes/checkpoint.h"

#include <catch2/catch.hpp>
#include <filesystem>

#include "recipes/distinct.h"
#include "reflect/base/error.h"
#include "reflect/data/record.h"
#include "temp_folder.h"

using namespace reflect;

namespace {

std::string problems(int count) {
  std::string lines;
  for (int i = 0; i < count; ++i) {
    lines +=
        "{\"prompt\": \"What is " + std::to_string(i) + " + 0?\"}\n" + (i % 3 == 0 ? "\n" : "");
  }
  return lines;
}

}  // namespace

TEST_CASE("a checkpoint is read as it was written, or not at all") {
  RunCheckpoint checkpoint;
  checkpoint.command = "abc";
  checkpoint.source = {12345678901, ~std::uint64_t{0}};
  checkpoint.output = {1234, 56, 7};
  checkpoint.distinct = 88;
  checkpoint.clean = 3;
  checkpoint.counts.problems = 9;
  checkpoint.counts.rows = 10;
  checkpoint.counts.accepted = 7;
  checkpoint.counts.rejected["check: wrong_answer"] = 2;
  checkpoint.counts.not_used["repeated_row"] = 1;
  checkpoint.counts.proofs["executed"] = 7;
  checkpoint.counts.kinds["off_by_one (executed)"] = 8;
  checkpoint.counts.redrawn[1] = 5;
  checkpoint.used.replies = 11;
  checkpoint.used.stored = 4;
  checkpoint.used.usd = 0.1 + 0.2;
  checkpoint.used.finishes["end"] = 11;
  const std::string text = text_of(checkpoint);
  const auto read = read_checkpoint(text);
  REQUIRE(read);
  CHECK(text_of(*read) == text);
  CHECK(read->source == checkpoint.source);
  CHECK(read->counts.kinds == checkpoint.counts.kinds);
  CHECK(read->counts.redrawn == checkpoint.counts.redrawn);
  CHECK(read->used.finishes == checkpoint.used.finishes);
  CHECK(read_checkpoint(text_of(RunCheckpoint())).has_value());

  CHECK_FALSE(read_checkpoint("").has_value());
  CHECK_FALSE(read_checkpoint(text.substr(0, text.size() / 2)).has_value());
  Json further = Json::parse(text);
  further["counts"]["of_another_program"] = 1;
  CHECK_FALSE(read_checkpoint(further.dump()).has_value());
}

TEST_CASE("what shapes rows is part of a command's hash, how far it goes is not") {
  SynthesizeConfig config;
  config.teachers.emplace_back();
  Recipe recipe;
  recipe.hash = "r";
  const std::string hash = command_hash(config, recipe, {"model"});
  SynthesizeConfig other = config;
  other.accept = 7;
  other.budget.tokens = 9;
  other.runtime.threads = 3;
  other.teacher.endpoint.http.timeout = 3;
  other.launch.nproc = 4;
  for (TeacherConfig* teacher : {&other.teacher, &other.teachers[0]}) {
    teacher->endpoint.url = "http://elsewhere/v1";
    teacher->placement.placement = "shard";
  }
  CHECK(command_hash(other, recipe, {"model"}) == hash);
  other.runtime.seed = 9;
  CHECK(command_hash(other, recipe, {"model"}) != hash);
  other = config;
  other.attempts = 2;
  CHECK(command_hash(other, recipe, {"model"}) != hash);
  other = config;
  other.teachers[0].base.storage = "nf4";
  CHECK(command_hash(other, recipe, {"model"}) != hash);
  other = config;
  other.teacher.sampling.temperature = 0.123;
  CHECK(command_hash(other, recipe, {"model"}) != hash);
  CHECK(command_hash(config, recipe, {"another"}) != hash);
  other = config;
  other.error_profile = "p.json";  // what it says is in the recipe's hash
  CHECK(command_hash(other, recipe, {"model"}) == hash);
  recipe.hash = "s";
  CHECK(command_hash(config, recipe, {"model"}) != hash);
}

TEST_CASE("a source is read over to where it was, unless something else stands there") {
  const TempFolder folder;
  const std::string path = folder / "in.jsonl";
  write_file_atomic(path, problems(20));
  const auto open = [&] { return std::make_unique<FileSource>(path, SplitConfig()); };
  const auto first = open();
  for (int i = 0; i < 10; ++i) first->next();
  const SourceMark mark = first->mark();
  const auto expected = first->next();
  const auto second = open();
  REQUIRE(second->skip_to(mark));
  const auto found = second->next();
  CHECK(found->problem.id == expected->problem.id);
  CHECK(found->place == expected->place);

  write_file_atomic(path, problems(25));  // longer: the same before the mark
  CHECK(open()->skip_to(mark));
  write_file_atomic(path, "{\"prompt\": \"What is 7 - 0?\"}\n" + problems(20));
  CHECK_FALSE(open()->skip_to(mark));
  write_file_atomic(path, problems(5));
  CHECK_FALSE(open()->skip_to(mark));

  ProceduralConfig config;
  ProceduralSource generated(config, 3, 50), again(config, 3, 50), fewer(config, 3, 20);
  for (int i = 0; i < 30; ++i) generated.next();
  REQUIRE(again.skip_to(generated.mark()));
  CHECK(again.next()->problem.id == generated.next()->problem.id);
  CHECK_FALSE(fewer.skip_to(generated.mark()));
}

TEST_CASE("generated problems that came before are known without being made again") {
  const TempFolder folder;
  ProceduralConfig config;
  config.family = {"arithmetic"};
  config.operations = {"1"};
  const auto open = [&] {
    auto source = std::make_unique<ProceduralSource>(config, 1, 4000);
    source->keep_in(folder.path());
    return source;
  };
  const auto first = open();
  std::size_t repeated = 0;
  for (int i = 0; i < 3000; ++i) repeated += first->next()->refused.empty() ? 0 : 1;
  CHECK(repeated > 0);
  const SourceMark mark = first->mark();
  const std::optional<SourceTask> expected = first->next();
  first->sync(mark);
  const std::string kept = folder / "problems.seen";
  CHECK(read_file(kept).size() == 8 * mark.items);
  const auto next_after_skip = [&] {
    const auto source = open();
    REQUIRE(source->skip_to(mark));
    auto task = source->next();
    source->sync(source->mark());
    CHECK(read_file(kept).size() == 8 * (mark.items + 1));
    return task->refused;
  };
  CHECK(next_after_skip() == expected->refused);
  std::string hashes = read_file(kept);
  write_file_atomic(kept, hashes.substr(0, 8 * mark.items - 1));  // all are made again
  CHECK(next_after_skip() == expected->refused);
  CHECK(read_file(kept) == hashes);
  // Proves that the file is what was read: its first hash is now that of the problem to come.
  hashes.replace(0, 8, hashes, 8 * mark.items, 8);
  write_file_atomic(kept, hashes.substr(0, 8 * mark.items));
  CHECK(next_after_skip() == "repeated_problem");
}

TEST_CASE("a file that grows keeps what was synced and takes its name at the end") {
  const TempFolder folder;
  const std::string part = folder / "rows.part";
  std::int64_t kept = 0;
  {
    RowsFile file(folder / "rows.jsonl", part, 0);
    file.write("one\n");
    kept = file.sync();
    file.write(std::string(1 << 19, 'x'));  // more than is held back: never synced, but there
  }
  CHECK(kept == 4);
  {
    RowsFile file(folder / "rows.jsonl", part, kept);
    file.write("two\n");
    CHECK(file.sync() == 8);
    file.commit();
    CHECK(read_file(folder / "rows.jsonl") == "one\ntwo\n");
    CHECK(read_file(part) == "one\ntwo\n");
    file.discard();
  }
  CHECK_THROWS_WITH(read_file(part), Catch::Contains("rows.part"));
  CHECK_THROWS_WITH(RowsFile(folder / "rows.jsonl", part, 5), Catch::Contains("has 0 bytes"));
}

namespace {

// Two steps `distinct`.
Recipe distinct_recipe() {
  Recipe recipe;
  recipe.steps.resize(2);
  DistinctStep step;
  step.similarity = 0.6;
  step.shingle_words = 2;
  recipe.steps[0].settings = step;
  recipe.steps[1].settings = step;
  return recipe;
}

TraceRow judged(DistinctRows& distinct, const std::string& first, const std::string& second,
                Fate fate = Fate::kAccepted) {
  TraceRow row;
  row.task = std::make_shared<SourceTask>();
  row.fate = fate;
  row.distinct = {{0, first}, {1, second}};
  distinct.judge(row);
  return row;
}

const std::string kRoad = "a long and winding road that leads to your door again";

}  // namespace

TEST_CASE("of near duplicates the first row stays, and only accepted rows count") {
  DistinctRows distinct(distinct_recipe());
  CHECK(judged(distinct, kRoad, "x y", Fate::kRejected).fate == Fate::kRejected);
  CHECK(judged(distinct, kRoad, "x y z").fate == Fate::kAccepted);
  const TraceRow repeated = judged(distinct, kRoad + " today", "p q r");
  CHECK(repeated.reason == "near_duplicate");
  CHECK(repeated.at_step == "distinct");
  // Of a row that was turned away nothing is kept.
  CHECK(judged(distinct, "something else than what was said", "p q r").fate == Fate::kAccepted);
  CHECK(judged(distinct, "one more that is new", "X, y: z!").reason == "near_duplicate");
}

TEST_CASE("what stayed before an interruption is known after it, what was not synced is not") {
  const TempFolder folder;
  const std::string path = folder / "distinct.part";
  const Recipe recipe = distinct_recipe();
  std::int64_t bytes = 0;
  {
    DistinctRows distinct(recipe, path, 0);
    CHECK(judged(distinct, kRoad, "x y z").fate == Fate::kAccepted);
    CHECK(judged(distinct, "", "").fate == Fate::kAccepted);
    bytes = distinct.sync();
    CHECK(judged(distinct, "never to be seen again by anybody", "u v w").fate == Fate::kAccepted);
    CHECK(distinct.sync() > bytes);
  }
  DistinctRows distinct(recipe, path, bytes);
  CHECK(judged(distinct, kRoad + " today", "p q r").reason == "near_duplicate");
  CHECK(judged(distinct, "never to be seen again by anybody", "u v w").fate == Fate::kAccepted);
  CHECK(judged(distinct, "yet another one", "u, v, W").reason == "near_duplicate");
  CHECK(distinct.sync() > bytes);

  CHECK_THROWS_WITH(DistinctRows(recipe, path, bytes - 3), Catch::Contains("ends within a text"));
  CHECK_THROWS_WITH(DistinctRows(recipe, path, 1 << 20), Catch::Contains("were written before"));
  write_file_atomic(path, std::string(48, '\1'));
  CHECK_THROWS_WITH(DistinctRows(recipe, path, 48), Catch::Contains("ends within a text"));
  Recipe other = recipe;
  other.steps[0].settings = PickStep();
  std::get<DistinctStep>(other.steps[1].settings).similarity = 0.99;
  {
    DistinctRows filled(recipe, folder / "other.part", 0);
    judged(filled, kRoad, "x y z");
    bytes = filled.sync();
  }
  CHECK_THROWS_WITH(DistinctRows(other, folder / "other.part", bytes),
                    Catch::Contains("none of this recipe"));
  distinct.discard();
  CHECK_FALSE(std::filesystem::exists(path));
}
