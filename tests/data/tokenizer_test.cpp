#include "reflect/data/tokenizer.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "data/tokenizer_golden.h"
#include "data/utf8.h"
#include "reflect/base/error.h"
#include "reflect/base/file.h"
#include "temp_folder.h"

namespace reflect {
namespace {

using Ids = std::vector<std::int32_t>;

struct GoldenText {
  std::string bytes;
  bool valid_utf8;
};

std::vector<GoldenText> golden_texts() {
  const nlohmann::json cases = read_golden(kTokenizerGolden + "cases.json");
  std::vector<GoldenText> texts;
  for (const auto& text : cases["texts"]) texts.push_back({text.get<std::string>(), true});
  for (const auto& bytes : cases["invalid"]) {
    const auto values = bytes.get<std::vector<std::uint8_t>>();
    texts.push_back({std::string(values.begin(), values.end()), false});
  }
  return texts;
}

Ids ids_of(const std::vector<Token>& tokens) {
  Ids ids;
  for (const Token& token : tokens) ids.push_back(token.id);
  return ids;
}

// As in scripts/golden/tokenizer.py.
std::string long_word() {
  std::string word;
  for (std::int64_t i = 0; i < 100'000; ++i)
    word.push_back(static_cast<char>('a' + (i * i + 3 * i / 7) % 26));
  return word;
}

class IdHash {
 public:
  void add(const std::vector<Token>& tokens) {
    for (const Token& token : tokens) add(token.id);
    add(-1);
  }
  std::string text() const { return std::to_string(value_); }

 private:
  void add(std::int32_t id) { value_ = value_ * 1000003 + static_cast<std::uint64_t>(id + 2); }
  std::uint64_t value_ = 0;
};

TEST_CASE("ids and decoded texts equal the reference libraries'") {
  const std::string name = GENERATE(from_range(kGoldenTokenizers));
  const auto tokenizer = load_tokenizer(kTokenizerGolden + name);
  const nlohmann::json expected = read_golden(kTokenizerGolden + name + "/ids.json");
  const std::vector<GoldenText> texts = golden_texts();
  REQUIRE(expected["plain"].size() == texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    CAPTURE(name, i, texts[i].bytes);
    const Ids plain = expected["plain"][i].get<Ids>();
    CHECK(ids_of(tokenizer->encode(texts[i].bytes)) == plain);
    const nlohmann::json& parse = expected["parse"][i];
    CHECK(ids_of(tokenizer->encode(texts[i].bytes, SpecialText::kParse)) ==
          (parse.is_null() ? plain : parse.get<Ids>()));
    const nlohmann::json& decoded = expected["decoded"][i];
    if (!decoded.is_null()) {
      CHECK(decode(*tokenizer, plain, true) == decoded.get<std::string>());
    } else if (texts[i].valid_utf8) {
      CHECK(decode(*tokenizer, plain, true) == texts[i].bytes);
    }
  }
}

TEST_CASE("a word of 100,000 characters is encoded like the reference does it") {
  const std::string name = GENERATE(from_range(kGoldenTokenizers));
  const auto tokenizer = load_tokenizer(kTokenizerGolden + name);
  CAPTURE(name);
  IdHash hash;
  hash.add(tokenizer->encode(long_word()));
  CHECK(hash.text() == read_golden(kTokenizerGolden + name + "/ids.json")["long_word"]);
}

TEST_CASE("ids of all of GSM8K equal the reference libraries'") {
  const char* shared = std::getenv("REFLECT_SHARED");
  const std::string folder =
      (shared ? std::string(shared) : REFLECT_SOURCE_DIR "/../shared") + "/data/gsm8k/";
  if (!std::filesystem::exists(folder + "train.jsonl")) {
    WARN("skipped: no GSM8K in " << folder << "; set REFLECT_SHARED");
    return;
  }
  const std::string name = GENERATE(from_range(kGoldenTokenizers));
  const auto tokenizer = load_tokenizer(kTokenizerGolden + name);
  for (const std::string file : {"test.jsonl", "train.jsonl"}) {
    CAPTURE(name, file);
    IdHash hash;
    LineReader lines(folder + file);
    while (const auto line = lines.next()) {
      const nlohmann::json row = nlohmann::json::parse(*line);
      hash.add(tokenizer->encode(row["question"].get<std::string>()));
      hash.add(tokenizer->encode(row["answer"].get<std::string>()));
    }
    CHECK(hash.text() == read_golden(kTokenizerGolden + name + "/ids.json")["gsm8k"][file]);
  }
}

TEST_CASE("byte ranges are sorted and cover the text") {
  const std::string name = GENERATE(from_range(kGoldenTokenizers));
  const auto tokenizer = load_tokenizer(kTokenizerGolden + name);
  for (const GoldenText& text : golden_texts()) {
    for (const SpecialText special : {SpecialText::kPlain, SpecialText::kParse}) {
      CAPTURE(name, text.bytes);
      std::size_t end = 0;
      for (const Token& token : tokenizer->encode(text.bytes, special)) {
        REQUIRE(token.begin == end);
        REQUIRE(token.end >= token.begin);
        end = token.end;
      }
      // "custom" removes some characters, so a text of only these has no tokens.
      if (name != "custom" || end > 0) CHECK(end == text.bytes.size());
    }
  }
}

TEST_CASE("a byte-level token stands for exactly its bytes") {
  const std::string name = GENERATE("llama3", "tiktoken", "gpt2", "smollm");
  const auto tokenizer = load_tokenizer(kTokenizerGolden + name);
  for (const GoldenText& text : golden_texts()) {
    if (!text.valid_utf8) continue;
    for (const Token& token : tokenizer->encode(text.bytes)) {
      CAPTURE(name, text.bytes, token.id);
      CHECK(tokenizer->bytes_of(token.id) ==
            std::string_view(text.bytes).substr(token.begin, token.end - token.begin));
    }
  }
}

TEST_CASE("the first token of a changed character owns its bytes") {
  const auto qwen2 = load_tokenizer(kTokenizerGolden + "qwen2");
  const std::string decomposed = "caf\x65\xCC\x81!";  // e and U+0301, composed by NFC
  std::string owned;
  for (const Token& token : qwen2->encode(decomposed)) {
    const auto bytes = decomposed.substr(token.begin, token.end - token.begin);
    if (bytes.find('\xCC') != bytes.npos) owned = bytes;
  }
  CHECK(owned.ends_with("e\xCC\x81"));
}

TEST_CASE("each byte token of a character that is in no vocabulary stands for its byte") {
  const std::string name = GENERATE("llama2", "llama2_first", "spm_bpe", "spm_unigram");
  const auto tokenizer = load_tokenizer(kTokenizerGolden + name);
  const std::string emoji = "\xF0\x9F\xA6\x84";
  const std::vector<Token> tokens = tokenizer->encode(emoji);
  REQUIRE(tokens.size() == 5);  // the first is the prefix
  CHECK(tokens[0].end == 0);
  for (std::size_t i = 0; i < emoji.size(); ++i) {
    CAPTURE(name, i);
    CHECK(tokens[i + 1].begin == i);
    CHECK(tokens[i + 1].end == i + 1);
    CHECK(tokenizer->bytes_of(tokens[i + 1].id) == emoji.substr(i, 1));
  }
}

TEST_CASE("texts that follow a special token get the prefix of the reference") {
  const auto first_piece = [](const std::string& name) {
    const auto tokenizer = load_tokenizer(kTokenizerGolden + name);
    const Ids ids = ids_of(tokenizer->encode("Hello", SpecialText::kPlain, true));
    return std::string(tokenizer->bytes_of(ids[0])).substr(0, 1);
  };
  CHECK(first_piece("llama2") == " ");
  CHECK(first_piece("llama2_always") == " ");
  CHECK(first_piece("llama2_first") == "H");
  CHECK(first_piece("spm_bpe") == " ");
}

TEST_CASE("pushing id by id gives the decoded text in whole characters") {
  const std::string name = GENERATE(from_range(kGoldenTokenizers));
  const auto tokenizer = load_tokenizer(kTokenizerGolden + name);
  for (const GoldenText& text : golden_texts()) {
    Ids ids = ids_of(tokenizer->encode(text.bytes));
    for (const bool cut : {false, true}) {
      if (cut && !ids.empty()) ids.pop_back();
      CAPTURE(name, text.bytes, cut);
      StreamDecoder decoder(*tokenizer);
      std::string streamed;
      for (const std::int32_t id : ids) {
        const std::string now = decoder.push(id);
        CHECK(valid_prefix(now) == now.size());
        streamed += now;
      }
      CHECK(streamed + decoder.finish() == decode(*tokenizer, ids));
    }
  }
}

TEST_CASE("a character cut in two is held back, and repaired at the end") {
  const auto tokenizer = load_tokenizer(kTokenizerGolden + "gpt2");
  const std::string emoji = "\xF0\x9F\xA6\x84";
  const Ids ids = ids_of(tokenizer->encode(emoji));
  REQUIRE(ids.size() > 1);
  StreamDecoder decoder(*tokenizer);
  CHECK(decoder.push(ids[0]).empty());
  CHECK(decoder.finish() == "\xEF\xBF\xBD");
  CHECK(decode(*tokenizer, std::span(ids).first(1)) == "\xEF\xBF\xBD");
}

TEST_CASE("special tokens are left out of decoded text unless asked for") {
  const auto tokenizer = load_tokenizer(kTokenizerGolden + "llama3");
  const Ids ids = ids_of(tokenizer->encode("Hi<|eot_id|>", SpecialText::kParse));
  CHECK(decode(*tokenizer, ids) == "Hi");
  CHECK(decode(*tokenizer, ids, true) == "Hi<|eot_id|>");
}

TEST_CASE("the folder tells BOS, EOS and whether BOS is put before texts") {
  const auto llama3 = load_tokenizer(kTokenizerGolden + "llama3");
  CHECK(llama3->bos_id() == llama3->special_id("<|begin_of_text|>"));
  CHECK(llama3->eos_id() == llama3->special_id("<|eot_id|>"));
  CHECK(llama3->adds_bos());
  CHECK(llama3->is_special(*llama3->bos_id()));

  const auto qwen2 = load_tokenizer(kTokenizerGolden + "qwen2");
  CHECK_FALSE(qwen2->bos_id());
  CHECK_FALSE(qwen2->adds_bos());
  CHECK(qwen2->special_id("<think>"));
  CHECK_FALSE(qwen2->is_special(*qwen2->special_id("<think>")));

  for (const std::string name : {"llama2", "spm_bpe"}) {
    const auto tokenizer = load_tokenizer(kTokenizerGolden + name);
    CHECK(tokenizer->bos_id() == 1);
    CHECK(tokenizer->eos_id() == 2);
    CHECK(tokenizer->adds_bos());
    CHECK(tokenizer->strips_leading_space());
  }

  const TempFolder folder;  // without tokenizer_config.json
  std::filesystem::copy(kTokenizerGolden + "gpt2/tokenizer.json", folder.path());
  write_file_atomic(folder / "config.json", R"({"bos_token_id": 5, "eos_token_id": [6, 7]})");
  CHECK(load_tokenizer(folder.path())->bos_id() == 5);
  CHECK(load_tokenizer(folder.path())->eos_id() == 6);
  write_file_atomic(folder / "tokenizer_config.json", R"({"bos_token": null})");
  CHECK_FALSE(load_tokenizer(folder.path())->bos_id());

  const auto tiktoken = load_tokenizer(kTokenizerGolden + "tiktoken");
  CHECK(tiktoken->special_id("<|begin_of_text|>") == tiktoken->vocab_size() - 256);
  CHECK(tiktoken->special_id("<|eot_id|>") == tiktoken->vocab_size() - 247);
}

TEST_CASE("several threads may encode at once") {
  const auto tokenizer = load_tokenizer(kTokenizerGolden + "llama3");
  const std::vector<GoldenText> texts = golden_texts();
  std::vector<Ids> expected;
  for (const GoldenText& text : texts) expected.push_back(ids_of(tokenizer->encode(text.bytes)));
  std::vector<int> wrong(4, 0);
  std::vector<std::thread> threads;
  for (int& count : wrong) {
    threads.emplace_back([&] {
      for (int round = 0; round < 20; ++round) {
        for (std::size_t i = 0; i < texts.size(); ++i)
          count += ids_of(tokenizer->encode(texts[i].bytes)) != expected[i];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == std::vector<int>(4, 0));
}

}  // namespace
}  // namespace reflect
