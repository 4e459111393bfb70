#include "reflect/data/decontaminate.h"

#include <catch2/catch.hpp>

#include "reflect/base/error.h"
#include "reflect/base/file.h"
#include "temp_folder.h"

namespace reflect {
namespace {

using Catch::Contains;

const std::string kBenchmark =
    R"({"question": "Ann has 3 boxes of 12 pens and gives 5 pens to each of her four friends at school. How many are left?", "answer": "3*12=<<3*12=36>>36 pens; she gives 20 away so 16 are left in the boxes that day.\n#### 16"})"
    "\n\n"
    R"({"task_id": "t/1", "nested": {"choices": ["a river that flows down to the sea slowly", "No"]}, "n": 4})"
    "\n"
    R"({"question": "What is 7 times 8?", "answer": "56"})"
    "\n";

Record row(const std::string& prompt, const std::string& response = "") {
  Record record;
  record.messages = {{"system", "one two three four five six seven eight nine ten"},
                     {"user", prompt}};
  record.response = response;
  return record;
}

struct Loaded {
  explicit Loaded(const std::string& text, double ratio = 0.7)
      : benchmarks([&] {
          write_file_atomic(folder / "test.jsonl", text);
          return Benchmarks({folder / "test.jsonl"}, ratio);
        }()) {}
  std::optional<BenchmarkMatch> operator()(const std::string& prompt,
                                           const std::string& response = "") const {
    return benchmarks.find(row(prompt, response));
  }
  TempFolder folder;
  Benchmarks benchmarks;
};

std::string complaint(const std::string& text) {
  try {
    Loaded loaded(text);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("thirteen words in a row are found in prompt and response, with their place") {
  const Loaded find(kBenchmark);
  const auto in_prompt =
      find("Once: ann HAS 3 boxes of 12 pens, and gives 5 pens to each! Then she left.");
  REQUIRE(in_prompt);
  CHECK(in_prompt->rule == "13-gram");
  CHECK(in_prompt->file == find.folder / "test.jsonl");
  CHECK(in_prompt->line == 1);
  CHECK(in_prompt->ngram == "ann has 3 boxes of 12 pens and gives 5 pens to each");
  // The solution counts, with or without its calculator annotations.
  const auto in_response =
      find("x", "3*12=36 pens; she gives 20 away so 16 are left in the boxes that day.");
  REQUIRE(in_response);
  CHECK(in_response->line == 1);
  CHECK_FALSE(find("ann has 3 boxes of 12 pens and gives 5 pens to you"));  // twelve words
}

TEST_CASE("eight-grams count by their share of the benchmark's text") {
  const Loaded find(kBenchmark);
  const auto found = find("Draw a river that flows down to the sea, slowly.");
  REQUIRE(found);
  CHECK(found->rule == "8-gram-ratio");
  CHECK(found->line == 3);  // blank lines count
  CHECK(found->ratio == 1);
  CHECK(found->ngram == "a river that flows down to the sea");
  CHECK_FALSE(find("Draw a river that flows down to the sea"));  // one of its two 8-grams
  CHECK(Loaded(kBenchmark, 0.5)("Draw a river that flows down to the sea"));
}

TEST_CASE("a short text counts only as the whole prompt, a tiny one never") {
  const Loaded find(kBenchmark);
  const auto found = find("what is 7 times 8");
  REQUIRE(found);
  CHECK(found->rule == "whole-prompt");
  CHECK(found->line == 4);
  CHECK_FALSE(find("Tell me, what is 7 times 8?"));
  CHECK_FALSE(find("No"));
  CHECK_FALSE(find("56", "56"));
}

TEST_CASE("the system prompt is not looked at") {
  const Loaded find("{\"text\": \"one two three four five six seven eight nine ten\"}\n");
  CHECK_FALSE(find("other"));
  CHECK(find("one two three four five six seven eight nine ten"));
}

TEST_CASE("files are counted, and several are told apart") {
  const TempFolder folder;
  write_file_atomic(folder / "a.jsonl", kBenchmark);
  write_file_atomic(folder / "b.jsonl.gz", "");
  AtomicWriter writer(folder / "b.jsonl.gz");
  writer.write("{\"q\": \"completely other words are standing in this second file today\"}\n");
  writer.commit();
  const Benchmarks benchmarks({folder / "a.jsonl", folder / "b.jsonl.gz"});
  REQUIRE(benchmarks.files().size() == 2);
  CHECK(benchmarks.files()[0].rows == 3);
  CHECK(benchmarks.files()[0].texts == 4);
  CHECK(benchmarks.files()[1].texts == 1);
  const auto found =
      benchmarks.find(row("completely other words are standing in this second file today"));
  REQUIRE(found);
  CHECK(found->file == folder / "b.jsonl.gz");
}

TEST_CASE("a benchmark file that cannot be read in full is an error with its place") {
  CHECK_THAT(complaint(kBenchmark + "{\"question\": \"cut"), Contains("test.jsonl:5"));
  CHECK_THAT(complaint("[1, 2]\n"), Contains("test.jsonl:1"));
  CHECK_THAT(complaint("{\"a\": \"\xff\xfe\"}\n"), Contains("test.jsonl:1"));
  CHECK_THAT(complaint(""), Contains("no text of 4 words"));
  CHECK_THAT(complaint("{\"a\": \"b\"}\n"), Contains("no text of 4 words"));
  CHECK_THROWS_WITH(Benchmarks({"/nonexistent/x.jsonl"}), Contains("/nonexistent/x.jsonl"));
  CHECK_THROWS_AS(Loaded(kBenchmark, 0), Error);
  CHECK_THROWS_AS(Loaded(kBenchmark, 1.1), Error);
}

TEST_CASE("without files nothing is found") {
  const Benchmarks none({});
  CHECK_FALSE(none.find(row("what is 7 times 8", "anything at all that has some words in it")));
}

}  // namespace reflect
