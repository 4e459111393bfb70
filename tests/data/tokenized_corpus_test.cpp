#include "reflect/data/tokenized_corpus.h"

#include <catch2/catch.hpp>

#include "reflect/base/error.h"
#include "reflect/data/corpus_cache.h"
#include "temp_folder.h"

using namespace reflect;
namespace fs = std::filesystem;

namespace {

const Json kKey = {{"content", "c0ffee"}, {"max_seq_length", 64}};

// Of `tokens` tokens, with runs of all lengths.
Example made_example(int tokens) {
  Example example;
  example.row_id = "row-" + std::to_string(tokens);
  for (int i = 0; i < tokens; ++i) {
    example.input_ids.push_back(128000 - 7 * i);
    example.span_type.push_back(static_cast<std::int8_t>(i % 5 == 0 ? -1 : i / 3 % 6));
    example.weight.push_back(i < 2 ? 0.0f : static_cast<float>(i / 4 % 3));
  }
  return example;
}

std::vector<Example> made_examples() {
  std::vector<Example> examples;
  for (const int tokens : {1, 0, 17, 4, 33}) examples.push_back(made_example(tokens));
  return examples;
}

void write_examples(const std::string& path, const Json& key = kKey) {
  AtomicWriter file(path);
  TokenizedFileWriter writer([&](std::string_view piece) { file.write(piece); });
  RowEntry entry;
  entry.order_weight = 0.5;
  for (const Example& example : made_examples()) {
    ++entry.line;
    writer.add(example, entry);
  }
  writer.finish(key, {{"rows", 5}});
  file.commit();
}

void check_same(const Example& found, const Example& wanted) {
  CHECK(found.row_id == wanted.row_id);
  CHECK(found.input_ids == wanted.input_ids);
  CHECK(found.span_type == wanted.span_type);
  CHECK(found.weight == wanted.weight);
}

// Adds one example that says how often this was asked, and counts.
CorpusCache::Tokenize counting(int& calls) {
  return [&calls](TokenizedFileWriter& writer) {
    ++calls;
    for (int i = 0; i < 200; ++i) writer.add(made_example(50));
    return Json{{"calls", calls}};
  };
}

}  // namespace

TEST_CASE("examples come back from a mapped file as they were, and from memory alike") {
  const TempFolder folder;
  write_examples(folder / "rows.tokens");
  TokenizedCorpus mapped;
  mapped.append(std::make_shared<TokenizedFile>(folder / "rows.tokens", kKey));
  mapped.append(std::make_shared<TokenizedFile>(folder / "rows.tokens", kKey));
  const std::vector<Example> examples = made_examples();
  const TokenizedCorpus memory(examples);
  REQUIRE(mapped.size() == 10);
  REQUIRE(memory.size() == 5);
  for (std::size_t i = 0; i < 10; ++i) {
    check_same(mapped[i], examples[i % 5]);
    check_same(memory[i % 5], examples[i % 5]);
    mapped.drop_pages();
    CHECK(mapped.file_of(i) == i / 5);
    CHECK(mapped.entry(i).line == i % 5 + 1);
    CHECK(mapped.entry(i).tokens == examples[i % 5].size());
    CHECK(mapped.entry(i).order_weight == 0.5);
    CHECK(mapped.entry(i).weights == memory.entry(i % 5).weights);
  }
  CHECK(TokenizedFile(folder / "rows.tokens", kKey).account() == Json{{"rows", 5}});
  CHECK_THROWS_WITH(mapped[10], Catch::Contains("no row 10 among 10"));
  CHECK(TokenizedCorpus().empty());
}

TEST_CASE("a file of tokenized rows that is cut anywhere or has any byte changed is refused") {
  const TempFolder folder;
  const std::string path = folder / "rows.tokens";
  write_examples(path);
  const std::string good = read_file(path);
  for (std::size_t size = 0; size < good.size(); ++size) {
    write_file_atomic(path, good.substr(0, size));
    CHECK_THROWS_AS(TokenizedFile(path, kKey), Error);
  }
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    write_file_atomic(path, bad);
    CHECK_THROWS_AS(TokenizedFile(path, kKey), Error);
  }
  write_file_atomic(path, good + "x");
  CHECK_THROWS_AS(TokenizedFile(path, kKey), Error);
}

TEST_CASE("tokenized rows of another key are refused with the difference") {
  const TempFolder folder;
  Json other = kKey;
  other["max_seq_length"] = 128;
  write_examples(folder / "rows.tokens", other);
  CHECK_THROWS_WITH(TokenizedFile(folder / "rows.tokens", kKey),
                    Catch::Contains("max_seq_length is 128, not 64"));
}

TEST_CASE("a cache tokenizes again when contents or settings differ, or when its file is broken") {
  const TempFolder folder;
  const std::string data = folder / "rows.jsonl", cache = folder / "cache";
  write_file_atomic(data, "one\n");
  int calls = 0;
  const auto ask = [&](const Json& settings) {
    return CorpusCache(cache, settings).rows_of(data, counting(calls))->account()["calls"];
  };
  CHECK(ask({{"preset", "all"}}) == 1);
  CHECK(ask({{"preset", "all"}}) == 1);
  CHECK(ask({{"preset", "glaive"}}) == 2);
  write_file_atomic(data, "two\n");
  CHECK(ask({{"preset", "all"}}) == 3);
  for (const auto& file : fs::directory_iterator(cache)) fs::resize_file(file, 100);
  CHECK(ask({{"preset", "all"}}) == 4);
  CHECK(ask({{"preset", "all"}}) == 4);
  CHECK(std::distance(fs::directory_iterator(cache), fs::directory_iterator()) == 3);
}

TEST_CASE("trouble with the folder of a cache keeps rows in memory; errors of rows pass through") {
  const TempFolder folder;
  const std::string data = folder / "rows.jsonl";
  write_file_atomic(data, "one\n");
  int calls = 0;
  const CorpusCache no_folder(data + "/cache", Json::object());
  CHECK(no_folder.rows_of(data, counting(calls))->entries().size() == 200);
  CHECK(calls == 1);
  const CorpusCache cache(folder / "cache", Json::object());
  CHECK_THROWS_WITH(
      cache.rows_of(data, [](TokenizedFileWriter&) -> Json { throw Error("bad row"); }),
      Catch::Contains("bad row"));
  CHECK(fs::is_empty(folder / "cache"));
  CHECK_THROWS_WITH(cache.rows_of(data,
                                  [&](TokenizedFileWriter&) {
                                    write_file_atomic(data, "two\n");
                                    return Json();
                                  }),
                    Catch::Contains("has changed while it was read"));
  CHECK(fs::is_empty(folder / "cache"));
}
