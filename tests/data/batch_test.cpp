// Examples (which token gets which weight) with a real tokenizer and templates, and packing.
#include "reflect/data/batch.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <numeric>

#include "reflect/base/error.h"
#include "reflect/base/random.h"
#include "temp_folder.h"

namespace reflect {
namespace {

// A SentencePiece-style tokenizer: one token an ASCII character, bytes for all others, and ".<" as
// one token, which straddles the end of a sentence and a tag.
std::unique_ptr<Tokenizer> make_tokenizer(const TempFolder& folder) {
  Json vocab = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}, {"<|im_start|>", 3}, {"<|im_end|>", 4}};
  int id = 5;
  for (int byte = 0; byte < 256; ++byte) vocab[fmt::format("<0x{:02X}>", byte)] = id++;
  for (char c = ' '; c <= '~'; ++c) vocab[std::string(1, c)] = id++;
  vocab["\n"] = id++;
  vocab[".<"] = id++;
  Json added = Json::array();
  for (const char* name : {"<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"}) {
    added.push_back({{"id", vocab[name]},
                     {"content", name},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  const Json decoder = {{"type", "ByteFallback"}};
  const Json model = {{"type", "BPE"},         {"unk_token", "<unk>"},
                      {"byte_fallback", true}, {"fuse_unk", true},
                      {"vocab", vocab},        {"merges", Json::array({Json::array({".", "<"})})}};
  write_file_atomic(folder / "tokenizer.json", Json{{"version", "1.0"},
                                                    {"added_tokens", added},
                                                    {"normalizer", nullptr},
                                                    {"pre_tokenizer", nullptr},
                                                    {"post_processor", nullptr},
                                                    {"decoder", decoder},
                                                    {"model", model}}
                                                   .dump());
  write_file_atomic(folder / "tokenizer_config.json",
                    R"({"bos_token":"<s>","eos_token":"</s>","unk_token":"<unk>"})");
  return load_tokenizer(folder.path());
}

struct Fixture {
  TempFolder folder;
  std::unique_ptr<Tokenizer> tokenizer = make_tokenizer(folder);
  ExampleStatus status = ExampleStatus::kOk;

  Example make(const Record& record, const std::string& preset = "mask_error",
               const std::string& chat = "plain", std::int64_t max_seq_length = 4096) {
    const ExampleOptions options{max_seq_length, SpanWeights::preset(preset)};
    return example_of(record, ChatTemplate::named(chat), *tokenizer, options, status);
  }

  // The text of the tokens with the weight.
  std::string text_of_weight(const Example& example, float weight) const {
    std::string text;
    for (std::size_t i = 0; i < example.size(); ++i) {
      if (example.weight[i] == weight) text += tokenizer->bytes_of(example.input_ids[i]);
    }
    return text;
  }
};

Record reflective_record() {
  TraceBuilder builder;
  builder.thinking("A pen costs 3. ");
  builder.error("4 pens cost 7.", 1, Proof::kExecuted);
  builder.reflection("No: 3 * 4 = 12.", 1);
  builder.correction(" 4 pens cost 12.", 1);
  builder.output("12");
  Record record;
  record.id = "pens";
  record.messages = {{"user", "4 pens?"}};
  record.response = builder.text();
  record.spans = builder.spans();
  return record;
}

TEST_CASE("error bytes are not trained, nor a token that straddles one") {
  Fixture fixture;
  const Example example = fixture.make(reflective_record());
  REQUIRE(fixture.status == ExampleStatus::kOk);
  CHECK(example.row_id == "pens");
  REQUIRE(example.weight.size() == example.size());
  REQUIRE(example.span_type.size() == example.size());
  CHECK(fixture.text_of_weight(example, 1) ==
        "<thinking>\nA pen costs 3. reflection>No: 3 * 4 = 12.</reflection> 4 pens cost 12.\n"
        "</thinking>\n<output>12</output></s>");
  CHECK(fixture.text_of_weight(example, 0) == "<s>4 pens?\n4 pens cost 7.<");
}

TEST_CASE("the type of a token is its span's; outside the response it is -1") {
  Fixture fixture;
  const Example example = fixture.make(reflective_record());
  std::map<int, std::string> text;
  for (std::size_t i = 0; i < example.size(); ++i) {
    text[example.span_type[i]] += fixture.tokenizer->bytes_of(example.input_ids[i]);
  }
  CHECK(text[-1] == "<s>4 pens?\n</s>");
  CHECK(text[static_cast<int>(SpanType::kError)] == "4 pens cost 7.<");
  CHECK(text[static_cast<int>(SpanType::kOutput)] == "12");
  CHECK(text[static_cast<int>(SpanType::kCorrection)] == " 4 pens cost 12.");
}

// The bytes of the response that tokens with a weight have.
std::vector<bool> trained_bytes(const Example& example, const Tokenizer& tokenizer) {
  std::vector<bool> trained;
  for (std::size_t i = 0; i < example.size(); ++i) {
    if (example.span_type[i] < 0) continue;
    trained.insert(trained.end(), tokenizer.bytes_of(example.input_ids[i]).size(),
                   example.weight[i] > 0);
  }
  return trained;
}

TEST_CASE("no byte of any error is trained, all others but those of straddling tokens are") {
  Fixture fixture;
  Random random(10, "batch test");
  const std::vector<std::string> pieces = {"a", ".", "日", "é.", " 7", "\n", "."};
  const auto text = [&] {
    std::string result = "t";
    for (std::uint64_t n = random.below(5); n > 0; --n)
      result += pieces[random.below(pieces.size())];
    return result;
  };
  for (int i = 0; i < 300; ++i) {
    TraceBuilder builder;
    const int rounds = static_cast<int>(1 + random.below(3));
    for (int round = 1; round <= rounds; ++round) {
      builder.thinking(text());
      builder.error(text(), round, Proof::kExecuted);
      builder.reflection(text(), round);
      builder.correction(text(), round);
    }
    builder.output("t" + text() + "t");
    Record record = reflective_record();
    record.response = builder.text();
    record.spans = builder.spans();
    const auto trained = trained_bytes(fixture.make(record), *fixture.tokenizer);
    REQUIRE(trained.size() == record.response.size());
    for (const Span& span : record.spans) {
      for (std::size_t byte = span.begin; byte < span.end; ++byte) {
        const bool straddled =
            record.response.substr(0, byte).ends_with('.') && record.response[byte] == '<';
        if (span.type == SpanType::kError) {
          REQUIRE_FALSE(trained[byte]);
        } else if (!straddled) {
          REQUIRE(trained[byte]);
        }
      }
    }
  }
}

TEST_CASE("all bytes of a character share its weight") {
  Fixture fixture;
  TraceBuilder builder;
  builder.thinking("é");
  builder.error("日本 é", 1, Proof::kJudged);
  builder.reflection("ナ", 1);
  builder.output("é");
  Record record = reflective_record();
  record.response = builder.text();
  record.spans = builder.spans();
  const Example example = fixture.make(record);
  CHECK(fixture.text_of_weight(example, 0) == "<s>4 pens?\n日本 é");
  CHECK(fixture.text_of_weight(example, 1) ==
        "<thinking>\né<reflection>ナ</reflection>\n</thinking>\n<output>é</output></s>");
}

TEST_CASE("presets weigh spans") {
  Fixture fixture;
  const Record record = reflective_record();
  CHECK(fixture.text_of_weight(fixture.make(record, "all"), 0) == "<s>4 pens?\n");
  CHECK(fixture.text_of_weight(fixture.make(record, "output_only"), 1) == "12</s>");
  const Example glaive = fixture.make(record, "glaive");
  CHECK(fixture.text_of_weight(glaive, 1) == "<thinking>\nA pen costs 3. 4 pens cost 7.<");
  CHECK(fixture.text_of_weight(glaive, 2) ==
        "reflection>No: 3 * 4 = 12.</reflection> 4 pens cost 12.\n</thinking>\n<output>12</output>"
        "</s>");
  CHECK_THROWS_WITH(SpanWeights::preset("mask"), Catch::Contains("mask_error, all, glaive"));
}

TEST_CASE("without spans the tags give them; untagged text is thinking") {
  Fixture fixture;
  Record record = reflective_record();
  record.spans.clear();
  CHECK(fixture.text_of_weight(fixture.make(record, "mask_error"), 0) == "<s>4 pens?\n");
  CHECK(fixture.text_of_weight(fixture.make(record, "output_only"), 1) == "12</s>");
  record.response = "It is 12";
  CHECK(fixture.text_of_weight(fixture.make(record, "mask_error"), 1) == "It is 12</s>");
  CHECK(fixture.status == ExampleStatus::kOk);
  fixture.make(record, "output_only");
  CHECK(fixture.status == ExampleStatus::kNothingTrained);
  record.response.clear();
  fixture.make(record, "all");
  CHECK(fixture.status == ExampleStatus::kNothingTrained);
}

TEST_CASE("the length limit counts every token") {
  Fixture fixture;
  const Record record = reflective_record();
  const auto length = static_cast<std::int64_t>(fixture.make(record).size());
  fixture.make(record, "all", "plain", length);
  CHECK(fixture.status == ExampleStatus::kOk);
  fixture.make(record, "all", "plain", length - 1);
  CHECK(fixture.status == ExampleStatus::kTooLong);
}

TEST_CASE("earlier assistant turns train unless marked otherwise") {
  Fixture fixture;
  Record record;
  record.messages = {{"user", "u1"},
                     {"assistant", "a1"},
                     {"user", "u2"},
                     {"assistant", "a2", false},
                     {"user", "u3"}};
  record.response = "a3";
  const Example example = fixture.make(record, "all", "chatml");
  CHECK(fixture.text_of_weight(example, 1) == "a1<|im_end|>a3<|im_end|>");
  for (std::size_t i = 0; i < example.size(); ++i) {
    if (example.span_type[i] >= 0) CHECK(fixture.tokenizer->bytes_of(example.input_ids[i]) != "1");
  }
}

TEST_CASE("the first token and the prompt have weight 0 in every template") {
  Fixture fixture;
  for (const char* chat : {"plain", "chatml", "vicuna", "alpaca"}) {
    INFO(chat);
    const Example example = fixture.make(reflective_record(), "all", chat);
    CHECK(fixture.status == ExampleStatus::kOk);
    CHECK(example.weight[0] == 0);
    CHECK_THAT(fixture.text_of_weight(example, 1),
               Catch::StartsWith("<thinking>") && Catch::Contains("</output>"));
    CHECK_THAT(fixture.text_of_weight(example, 0), Catch::Contains("4 pens?"));
    const std::int32_t last = example.input_ids[example.size() - 1];
    CHECK((fixture.tokenizer->is_special(last) || example.weight.back() == 0));
  }
}

struct PackCase {
  std::vector<std::int64_t> lengths;
  std::vector<std::int64_t> order;
  std::int64_t capacity;
};

// The first reason why packs are not lawful: each row once, whole and in room.
std::string unlawful(const PackCase& c, const std::vector<Batch>& packs) {
  std::vector<int> seen(c.lengths.size());
  for (const Batch& batch : packs) {
    if (batch.offsets.size() != batch.row_index.size() + 1 || batch.offsets[0] != 0) return "shape";
    if (batch.row_index.empty() || batch.tokens() > c.capacity) return "capacity";
    for (std::size_t i = 0; i < batch.row_index.size(); ++i) {
      const auto row = static_cast<std::size_t>(batch.row_index[i]);
      if (batch.offsets[i + 1] - batch.offsets[i] != c.lengths[row]) return "length";
      ++seen[row];
    }
  }
  for (const std::int64_t row : c.order) {
    if (--seen[static_cast<std::size_t>(row)] != 0) return "not once";
  }
  return std::count(seen.begin(), seen.end(), 0) == static_cast<std::ptrdiff_t>(seen.size())
             ? ""
             : "a row that was not asked for";
}

// Lengths like those of chat data: log-normal, cut at the capacity.
PackCase random_case(Random& random, std::size_t rows, std::int64_t capacity) {
  PackCase c{std::vector<std::int64_t>(rows), std::vector<std::int64_t>(rows), capacity};
  for (std::int64_t& length : c.lengths) {
    const double drawn = std::exp(5.5 + 0.8 * random.normal());
    length = std::clamp<std::int64_t>(static_cast<std::int64_t>(drawn), 1, capacity);
  }
  std::iota(c.order.begin(), c.order.end(), 0);
  random.shuffle(c.order);
  return c;
}

TEST_CASE("packs hold every row once, in room, in the order of their first rows") {
  Random random(8, "pack test");
  for (int i = 0; i < 200; ++i) {
    PackCase c = random_case(random, 1 + random.below(60), 100 + random.between(0, 900));
    if (random.chance(0.3)) c.order.resize(1 + random.below(c.order.size()));
    const std::vector<Batch> packs = pack(c.lengths, c.order, c.capacity);
    REQUIRE(unlawful(c, packs) == "");
    std::vector<std::size_t> place(c.lengths.size());
    for (std::size_t k = 0; k < c.order.size(); ++k)
      place[static_cast<std::size_t>(c.order[k])] = k;
    const auto place_of = [&](std::int64_t row) { return place[static_cast<std::size_t>(row)]; };
    for (std::size_t k = 0; k < packs.size(); ++k) {
      const auto& rows = packs[k].row_index;
      REQUIRE(std::is_sorted(rows.begin(), rows.end(),
                             [&](auto a, auto b) { return place_of(a) < place_of(b); }));
      if (k > 0) REQUIRE(place_of(packs[k - 1].row_index[0]) < place_of(rows[0]));
    }
    const std::vector<Batch> again = pack(c.lengths, c.order, c.capacity);
    REQUIRE(again.size() == packs.size());
    for (std::size_t k = 0; k < packs.size(); ++k)
      REQUIRE(again[k].row_index == packs[k].row_index);
  }
}

TEST_CASE("packs of rows as chat data has them are at least 97 % full") {
  Random random(9, "pack test");
  for (const std::int64_t capacity : {2048, 4096}) {
    const PackCase c = random_case(random, 5000, capacity);
    const std::vector<Batch> packs = pack(c.lengths, c.order, c.capacity);
    const auto tokens = std::accumulate(c.lengths.begin(), c.lengths.end(), std::int64_t{0});
    const auto room = static_cast<double>(packs.size()) * static_cast<double>(capacity);
    CHECK(static_cast<double>(tokens) / room >= 0.97);
  }
}

TEST_CASE("rows that cannot be packed are an error") {
  CHECK_THROWS_WITH(pack({5, 11}, {0, 1}, 10), Catch::Contains("row 1 has 11 tokens"));
  CHECK_THROWS_AS(pack({0}, {0}, 10), Error);
  CHECK(pack({}, {}, 10).empty());
  CHECK(pack({10, 10}, {1, 0}, 10).front().row_index == std::vector<std::int64_t>{1});
}

}  // namespace
}  // namespace reflect
