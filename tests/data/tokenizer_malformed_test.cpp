#include <catch2/catch.hpp>

#include "data/tokenizer_golden.h"
#include "reflect/base/error.h"
#include "reflect/base/file.h"
#include "reflect/data/tokenizer.h"
#include "temp_folder.h"

namespace reflect {
namespace {

using Json = nlohmann::json;
using Catch::Contains;

// What loading a file of this name with these bytes complains about; empty when it loads.
std::string complaint(const std::string& name, const std::string& bytes) {
  const TempFolder folder;
  write_file_atomic(folder / name, bytes);
  try {
    load_tokenizer(folder.path());
  } catch (const Error& error) {
    CHECK_THAT(error.what(), Contains(name));
    return error.what();
  }
  return "";
}

std::string complaint(const Json& json) {
  return complaint("tokenizer.json", json.dump());
}

Json small_tokenizer() {
  return {
      {"model", {{"type", "BPE"}, {"vocab", {{"a", 0}, {"b", 1}, {"ab", 2}}}, {"merges", {"a b"}}}},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}}};
}

TEST_CASE("the smallest tokenizer loads, and unknown bytes vanish into their neighbours' ranges") {
  const TempFolder folder;
  write_file_atomic(folder / "tokenizer.json", small_tokenizer().dump());
  const auto tokenizer = load_tokenizer(folder.path());
  const auto tokens = tokenizer->encode("?ab?");
  REQUIRE(tokens.size() == 1);
  CHECK(tokens[0].id == 2);
  CHECK((tokens[0].begin == 0 && tokens[0].end == 4));
  CHECK(tokenizer->encode("").empty());
  CHECK_THROWS_WITH(tokenizer->bytes_of(3), Contains("3"));
  CHECK_THROWS_WITH(tokenizer->bytes_of(-1), Contains("-1"));
}

TEST_CASE("every truncation of a tokenizer.json is an error") {
  const std::string bytes = small_tokenizer().dump();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CAPTURE(size);
    CHECK_THAT(complaint("tokenizer.json", bytes.substr(0, size)), Contains("not valid JSON"));
  }
}

TEST_CASE("damaged members of a tokenizer.json are named") {
  const auto with = [](const char* pointer, const Json& value) {
    Json json = small_tokenizer();
    json[Json::json_pointer(pointer)] = value;
    return complaint(json);
  };
  CHECK_THAT(complaint(Json::array()), Contains("not a JSON object"));
  CHECK_THAT(complaint(Json::object()), Contains("'model' is missing"));
  CHECK_THAT(with("/model", 7), Contains("'vocab' is missing"));
  CHECK_THAT(with("/model/vocab", Json::array()), Contains("'vocab'"));
  CHECK_THAT(with("/model/vocab", Json::object()), Contains("'vocab'"));
  CHECK_THAT(with("/model/type", "WordPiece"), Contains("'WordPiece'"));
  CHECK_THAT(with("/model/merges", 3), Contains("'merges'"));
  CHECK_THAT(with("/model/merges/0", "ab"), Contains("merge 0"));
  CHECK_THAT(with("/model/merges/0", "a b c"), Contains("merge 0"));
  CHECK_THAT(with("/model/merges/0", Json::array({"a", 1})), Contains("merge 0"));
  CHECK_THAT(with("/model/merges/0", Json::array({"a", "z"})),
             Contains("merge 0") && Contains("'z'"));
  CHECK_THAT(with("/model/merges/0", Json::array({"b", "a"})),
             Contains("merge 0") && Contains("'ba'"));
  CHECK_THAT(with("/model/unk_token", "<unk>"), Contains("unk_token '<unk>'"));
  CHECK_THAT(with("/model/ignore_merges", "yes"), Contains("'ignore_merges'"));
  CHECK_THAT(with("/model/end_of_word_suffix", "</w>"), Contains("'end_of_word_suffix'"));
  CHECK_THAT(with("/model/dropout", 0.1), Contains("'dropout'"));
  CHECK_THAT(with("/normalizer", Json{{"type", "Lowercase"}}), Contains("'Lowercase'"));
  CHECK_THAT(with("/pre_tokenizer", Json{{"type", "Whitespace"}}), Contains("'Whitespace'"));
  CHECK_THAT(with("/pre_tokenizer", Json{{"type", 1}}), Contains("'type'"));
  CHECK_THAT(with("/decoder", Json{{"type", "CTC"}}), Contains("'CTC'"));
  const Json bad_regex = {
      {"type", "Split"}, {"pattern", {{"Regex", "(a"}}}, {"behavior", "Isolated"}};
  CHECK_THAT(with("/pre_tokenizer", bad_regex), Contains("'(a'"));
  CHECK_THAT(with("/added_tokens", Json{{{"content", "<s>"}}}), Contains("'id'"));
  CHECK_THAT(with("/added_tokens", Json{{{"id", 3}}}), Contains("'content'"));
  CHECK_THAT(with("/added_tokens", "<s>"), Contains("added_tokens"));
  CHECK_THAT(with("/post_processor", Json::parse(R"({"type": "TemplateProcessing",
                                                     "single": [{"SpecialToken": {}}]})")),
             Contains("post_processor") && Contains("'id'"));
}

TEST_CASE("ids that are negative, huge, broken or double are errors") {
  for (const Json& id : {Json(-1), Json(1'000'000'000'000), Json(1e300), Json(1.5), Json("0"),
                         Json(nullptr), Json(std::uint64_t{1} << 63)}) {
    Json json = small_tokenizer();
    json["model"]["vocab"]["b"] = id;
    CHECK_THAT(complaint(json), Contains("the id of 'b'") && Contains(id.dump()));
    json = small_tokenizer();
    json["added_tokens"] = Json{{{"id", id}, {"content", "<s>"}}};
    CHECK_THAT(complaint(json), Contains("<s>"));
  }
  Json json = small_tokenizer();
  json["model"]["vocab"]["b"] = 0;
  CHECK_THAT(complaint(json), Contains("two tokens have the id 0"));
}

TEST_CASE("deep nesting is an error, not a crash") {
  std::string deep(200'000, '[');
  CHECK_THAT(complaint("tokenizer.json", deep), Contains("not valid JSON"));
  for (const auto& [member, parts] :
       {std::pair("normalizer", "normalizers"), std::pair("pre_tokenizer", "pretokenizers"),
        std::pair("decoder", "decoders"), std::pair("post_processor", "processors")}) {
    Json nested = {{"type", "Sequence"}, {parts, Json::array()}};
    for (int depth = 0; depth < 1000; ++depth)
      nested = {{"type", "Sequence"}, {parts, Json::array({nested})}};
    Json json = small_tokenizer();
    json[member] = nested;
    CHECK_THAT(complaint(json), Contains(member) && Contains("nested deeper"));
  }
}

TEST_CASE("a .model that is neither SentencePiece nor tiktoken is an error") {
  CHECK_THAT(complaint("tokenizer.model", ""), Contains("neither"));
  CHECK_THAT(complaint("tokenizer.model", "hello"), Contains("neither"));
  CHECK_THAT(complaint("tokenizer.model", std::string(1000, '\xff')), Contains("neither"));
  CHECK_THAT(complaint("tokenizer.model", "version https://git-lfs.github.com/spec/v1\n"),
             Contains("neither"));
  const std::string model = read_file(kTokenizerGolden + "spm_bpe/tokenizer.model");
  CHECK_THAT(complaint("tokenizer.model", model.substr(0, model.size() / 2)), Contains("neither"));
}

TEST_CASE("a damaged tiktoken file is an error that names the line") {
  const std::string model = read_file(kTokenizerGolden + "tiktoken/tokenizer.model");
  const auto line_end = [&](int lines) {
    std::size_t at = 0;
    for (int i = 0; i < lines; ++i) at = model.find('\n', at) + 1;
    return at;
  };
  CHECK(complaint("tokenizer.model", model).empty());
  const std::string two = model.substr(0, line_end(2));
  CHECK_THAT(complaint("tokenizer.model", two), Contains("no token for the byte"));
  CHECK_THAT(complaint("tokenizer.model", two + "!!!! 2\n"), Contains(":3"));
  CHECK_THAT(complaint("tokenizer.model", two + "QUI= x\n"), Contains(":3"));
  CHECK_THAT(complaint("tokenizer.model", two + "QUI= 7\n"), Contains(":3"));
  CHECK_THAT(complaint("tokenizer.model", two + "QUI= 99999999999999999999\n"), Contains(":3"));
}

TEST_CASE("what stands beside the vocabulary is checked too") {
  const TempFolder folder;
  write_file_atomic(folder / "tokenizer.json", small_tokenizer().dump());
  const auto complaint_about = [&](const std::string& name, const std::string& bytes) {
    write_file_atomic(folder / name, bytes);
    std::string what;
    try {
      load_tokenizer(folder.path());
    } catch (const Error& error) {
      what = error.what();
    }
    write_file_atomic(folder / name, "{}");
    return what;
  };
  CHECK_THAT(complaint_about("tokenizer_config.json", "{"), Contains("tokenizer_config.json"));
  CHECK_THAT(complaint_about("tokenizer_config.json", R"({"bos_token": 3})"),
             Contains("tokenizer_config.json") && Contains("bos_token"));
  CHECK_THAT(complaint_about("tokenizer_config.json", R"({"add_bos_token": "no"})"),
             Contains("add_bos_token"));
  CHECK_THAT(complaint_about("tokenizer_config.json", R"({"bos_token": "<s>"})"),
             Contains("no token '<s>'") && Contains("BOS"));
  CHECK_THAT(complaint_about("config.json", R"({"eos_token_id": -4})"),
             Contains("config.json") && Contains("-4"));
  CHECK_THAT(complaint_about("config.json", R"({"eos_token_id": [3, 4]})"),
             Contains("no id 3") && Contains("EOS"));
  CHECK(complaint_about("config.json", R"({"bos_token_id": 0, "eos_token_id": [2, 9]})").empty());
}

TEST_CASE("a folder without a tokenizer says what is missing") {
  const TempFolder folder;
  CHECK_THROWS_WITH(load_tokenizer(folder.path()),
                    Contains(folder.path()) && Contains("tokenizer.json"));
  CHECK_THROWS_WITH(load_tokenizer(folder / "absent.json"), Contains("absent.json"));
}

}  // namespace
}  // namespace reflect
