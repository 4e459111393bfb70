#include "reflect/train/training_data.h"

#include <catch2/catch.hpp>

#include "golden_case.h"
#include "reflect/base/hash.h"
#include "temp_folder.h"

using namespace reflect;

namespace {

// A trace with a mistake, its reflection and its correction; `marked`: the mistake has a span.
Json trace_row(int number, bool marked) {
  TraceBuilder trace;
  trace.thinking("Add.\n");
  if (marked)
    trace.error("2 + 2 = 5.", 1, Proof::kExecuted);
  else
    trace.thinking("2 + 2 = 5.");
  trace.reflection("Off by one.", 1);
  trace.correction("2 + 2 = 4.", 1);
  trace.output("4");
  Record record;
  record.id = "row-" + std::to_string(number);
  record.messages = {{"user", "What is 2 + 2?"}};
  record.response = trace.text();
  record.spans = trace.spans();
  return json_of(record);
}

std::string write_rows(const TempFolder& folder, const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  write_file_atomic(folder / "rows.jsonl", text);
  return folder / "rows.jsonl";
}

struct Loader {
  std::unique_ptr<Tokenizer> tokenizer = load_tokenizer(kGoldenModel);
  ChatTemplate chat = ChatTemplate::detect(kGoldenModel);
  TrainingData load(const std::string& file, const std::string& preset = "auto", bool lora = true,
                    std::int64_t max_seq_length = 512) const {
    return load_training_data({{file}, preset, lora, max_seq_length}, chat, *tokenizer);
  }
};

}  // namespace

TEST_CASE("every row is trained on or counted with a reason") {
  const TempFolder folder;
  const std::string file = write_rows(
      folder, {trace_row(1, true).dump(), "{not json", R"({"prompt": "a", "response": ""})",
               R"({"prompt": "a", "response": ")" + std::string(900, 'x') + "\"}",
               R"({"prompt": "a", "response": "b"})"});
  const TrainingData data = Loader().load(file);
  CHECK(data.rows == 5);
  CHECK(data.examples.size() == 2);
  CHECK(data.dropped == std::map<std::string, std::int64_t>{
                            {"malformed", 1}, {"nothing_trained", 1}, {"too_long", 1}});
  REQUIRE(data.malformed.size() == 1);
  CHECK_THAT(data.malformed[0],
             Catch::StartsWith(file + ": 1 malformed row left out: 1 not a JSON object; line 2: "));
}

TEST_CASE("a file without a usable row is refused") {
  const TempFolder folder;
  const std::string file = write_rows(folder, {R"({"prompt": "a", "response": ""})"});
  CHECK_THROWS_WITH(Loader().load(file), Catch::Contains("1 nothing_trained"));
}

TEST_CASE("mask_error refuses when over 5 % of the reflective rows have no error span") {
  const TempFolder folder;
  const Loader loader;
  const auto with_unmarked = [&](int unmarked) {
    std::vector<std::string> lines;
    for (int i = 0; i < 40; ++i) lines.push_back(trace_row(i, i >= unmarked).dump());
    return write_rows(folder, lines);
  };
  CHECK_NOTHROW(loader.load(with_unmarked(2), "mask_error"));
  CHECK_THROWS_WITH(loader.load(with_unmarked(3), "mask_error"), Catch::Contains("3 of 40"));
  CHECK_NOTHROW(loader.load(with_unmarked(3), "all"));
  CHECK(loader.load(with_unmarked(40), "auto", /*lora=*/false).preset == "all");
  CHECK(loader.load(with_unmarked(0), "auto", /*lora=*/false).preset == "mask_error");
}

TEST_CASE("the end-of-turn token is trained and BOS comes once") {
  const TempFolder folder;
  const Loader loader;
  const std::string file =
      write_rows(folder, {trace_row(1, true).dump(),
                          R"({"prompt": "<|begin_of_text|>hi", "response": "<|eot_id|>"})"});
  const TrainingData data = loader.load(file);
  REQUIRE(data.examples.size() == 2);
  const std::int32_t bos = *loader.tokenizer->bos_id();
  const std::int32_t end = *loader.tokenizer->special_id("<|eot_id|>");
  const ExampleCheck check(loader.chat, *loader.tokenizer);
  for (std::size_t row = 0; row < 2; ++row) {
    const Example example = data.examples[row];
    CHECK(std::ranges::count(example.input_ids, bos) == 1);
    CHECK(example.input_ids.back() == end);
    CHECK(example.weight.back() == 1);
    CHECK_NOTHROW(check(example));
  }

  Example doubled = data.examples[1];
  doubled.input_ids.insert(doubled.input_ids.begin(), bos);
  doubled.weight.insert(doubled.weight.begin(), 0);
  CHECK_THROWS_WITH(check(doubled), Catch::Contains("BOS") && Catch::Contains(doubled.row_id));

  Example endless = data.examples[0];
  endless.weight.back() = 0;
  CHECK_THROWS_WITH(check(endless), Catch::Contains("row-1") && Catch::Contains("end-of-turn"));
}

TEST_CASE("system prompts are counted by hash and compared with what the recipe wrote") {
  const TempFolder folder;
  Json row = trace_row(1, true);
  row["system"] = "Think aloud.";
  row["lineage"] = {{"system_prompt_hash", content_hash("Think aloud.")}};
  Json changed = row;
  changed["system"] = "Be brief.";
  const TrainingData data = Loader().load(write_rows(folder, {row.dump(), changed.dump()}));
  CHECK(data.system_prompts ==
        std::map<std::string, std::int64_t>{{content_hash("Think aloud."), 1},
                                            {content_hash("Be brief."), 1}});
  CHECK(data.other_system_prompt == 1);
}

TEST_CASE("a GSM8K row trains its worked solution") {
  const TempFolder folder;
  const std::string file =
      write_rows(folder, {R"({"question": "1 + 1?", "answer": "It is <<1+1=2>>2.\n#### 2"})"});
  const TrainingData data = Loader().load(file);
  REQUIRE(data.examples.size() == 1);
  CHECK(std::ranges::count_if(data.examples[0].weight, [](float w) { return w > 0; }) > 20);
}

TEST_CASE("rows carry what their order depends on, and go where it is missing") {
  const TempFolder folder;
  const Loader loader;
  Json scored = trace_row(1, true), other = trace_row(2, true), negative = trace_row(3, true);
  scored["scores"] = {{"ifd_ppl", 0.75}};
  scored["level"] = {{"hard", 4}};
  other["scores"] = {{"ifd_ppl", "high"}};
  negative["scores"] = {{"ifd_ppl", -1}};
  const std::string file = write_rows(folder, {other.dump(), scored.dump(), negative.dump()});
  TrainingDataOptions options{.files = {file, file}, .preset = "auto"};
  const std::string plain = load_training_data(options, loader.chat, *loader.tokenizer).hash;
  options.by_file = true;
  options.weight_by = "ifd";
  options.curriculum_by = "level.hard";
  const TrainingData data = load_training_data(options, loader.chat, *loader.tokenizer);
  CHECK(data.traits.file == std::vector<std::int32_t>{0, 1});
  CHECK(data.traits.weight == std::vector<double>{0.75, 0.75});
  CHECK(data.traits.difficulty == std::vector<double>{4, 4});
  CHECK(data.dropped ==
        std::map<std::string, std::int64_t>{{"negative_weight", 2}, {"no_weight", 2}});
  CHECK(data.hash != plain);
  options.curriculum_by = "tokens";
  const TrainingData by_length = load_training_data(options, loader.chat, *loader.tokenizer);
  CHECK(by_length.traits.difficulty[0] == static_cast<double>(by_length.examples[0].size()));
  options.curriculum_by = "level.easy";
  CHECK_THROWS_WITH(load_training_data(options, loader.chat, *loader.tokenizer),
                    Catch::Contains("no_place_in_curriculum"));
}

TEST_CASE("the data's hash is that of the hashes of all ids and weights") {
  const TempFolder folder;
  const Loader loader;
  const std::string file =
      write_rows(folder, {trace_row(1, true).dump(), R"({"prompt": "a", "response": "b"})"});
  const TrainingData data = loader.load(file);
  const auto bytes_of = [](const auto& values) {
    return std::string_view(reinterpret_cast<const char*>(values.data()),
                            values.size() * sizeof(values[0]));
  };
  std::string hashes;
  for (std::size_t row = 0; row < data.examples.size(); ++row) {
    const Example example = data.examples[row];
    hashes += content_hash(bytes_of(example.input_ids)) + content_hash(bytes_of(example.weight));
  }
  CHECK(data.hash == content_hash(hashes));
  CHECK(loader.load(file).hash == data.hash);
  CHECK(loader.load(file, "all").hash != data.hash);
}

TEST_CASE("rows from a cache are those that were tokenized, with the account of all") {
  const TempFolder folder;
  const Loader loader;
  Json plain = trace_row(2, true), unmarked = trace_row(3, false);
  plain["scores"] = {{"ifd_ppl", 0.25}};
  plain["system"] = "Think.";
  std::vector<std::string> lines = {"{not json", plain.dump(), trace_row(1, true).dump(), "",
                                    unmarked.dump()};
  for (int i = 4; i < 40; ++i) {
    Json row = trace_row(i, true);
    row["scores"] = {{"ifd_ppl", i}};
    lines.push_back(row.dump());
  }
  const std::string file = write_rows(folder, lines);
  TrainingDataOptions options{.files = {file, file}, .preset = "auto", .max_seq_length = 512};
  options.by_file = true;
  options.weight_by = "ifd";
  const auto load = [&] { return load_training_data(options, loader.chat, *loader.tokenizer); };
  const TrainingData wanted = load();
  options.cache = folder / "cache";
  options.tokenizer = kGoldenModel;
  for (const char* state : {"cold", "warm"}) {
    CAPTURE(state);
    const TrainingData found = load();
    CHECK(found.hash == wanted.hash);
    CHECK(found.preset == "mask_error");
    CHECK(found.rows == 80);
    CHECK(found.dropped == wanted.dropped);
    CHECK(found.malformed == wanted.malformed);
    CHECK(found.reflective_without_error == 2);
    CHECK(found.system_prompts == wanted.system_prompts);
    CHECK(found.lengths() == wanted.lengths());
    CHECK(found.traits.file == wanted.traits.file);
    CHECK(found.traits.weight == wanted.traits.weight);
    CHECK(found.examples[0].row_id == "row-2");
    CHECK(found.examples.entry(0).line == 2);
  }
  // One file of the cache for both; another preset, length or weight is another.
  const auto files = [&] {
    return std::distance(std::filesystem::directory_iterator(options.cache),
                         std::filesystem::directory_iterator());
  };
  CHECK(files() == 1);
  options.preset = "all";
  CHECK(load().examples[0].weight != wanted.examples[0].weight);
  options.max_seq_length = 256;
  load();
  options.weight_by = "";
  CHECK(load().examples.size() == 78);
  CHECK(files() == 4);
}

TEST_CASE("auto gives the weights of all where no row has an error span, without a look ahead") {
  const TempFolder folder;
  const Loader loader;
  const std::string file = write_rows(folder, {trace_row(1, false).dump()});
  const TrainingData data = loader.load(file, "auto", /*lora=*/false);
  CHECK(data.preset == "all");
  CHECK(data.hash == loader.load(file, "all").hash);
}
