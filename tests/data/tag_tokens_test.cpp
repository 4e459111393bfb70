#include "reflect/data/tag_tokens.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "data/tokenizer_golden.h"
#include "reflect/base/error.h"
#include "reflect/data/batch.h"
#include "reflect/data/chat.h"
#include "temp_folder.h"

namespace reflect {
namespace {

const std::string kFolder = kTokenizerGolden + "llama3";
const std::string kTrace =
    "<thinking>\nTwo and two are five.\n<reflection>They are four.</reflection> So "
    "4.\n</thinking>\n<output>4</output>";

std::unique_ptr<Tokenizer> tagged(const std::string& folder = kFolder) {
  auto tokenizer = load_tokenizer(folder);
  std::vector<TagToken> tags = tag_tokens_named({"reserved"}, *tokenizer);
  return with_tag_tokens(std::move(tokenizer), std::move(tags));
}

std::vector<std::int32_t> ids_of(const std::vector<Message>& messages, const Tokenizer& tokenizer,
                                 const std::string& chat = "llama3") {
  std::vector<std::int32_t> ids;
  for (const ChatToken& token : encode_chat(ChatTemplate::named(chat).render(messages), tokenizer))
    ids.push_back(token.id);
  return ids;
}

std::ptrdiff_t tags_in(const std::vector<std::int32_t>& ids, const Tokenizer& tokenizer) {
  return std::ranges::count_if(ids, [&](std::int32_t id) {
    return std::ranges::find(tokenizer.tag_tokens(), id, &TagToken::id) !=
           tokenizer.tag_tokens().end();
  });
}

}  // namespace

TEST_CASE("tags are one token each where the assistant writes them, trained or not") {
  const auto tokenizer = tagged();
  const bool trained = GENERATE(true, false);
  const std::vector<Message> messages = {{"user", "What is 2 + 2?"},
                                         {"assistant", kTrace, trained}};
  const auto ids = ids_of(messages, *tokenizer);
  CHECK(tags_in(ids, *tokenizer) == 6);
  CHECK(decode(*tokenizer, ids).ends_with(kTrace));
  // The text between the tags is tokenized as it would be by itself.
  const auto between = tokenizer->encode("They are four.", SpecialText::kPlain, true);
  std::vector<std::int32_t> inside;
  for (const Token& token : between) inside.push_back(token.id);
  CHECK(std::ranges::search(ids, inside).begin() != ids.end());
}

TEST_CASE("what a user or a system prompt writes never makes a tag token") {
  const auto tokenizer = tagged();
  const auto plain = load_tokenizer(kFolder);
  // Of plain and vicuna the whole conversation is one text for the tokenizer.
  const std::string chat = GENERATE("llama3", "plain", "vicuna");
  CAPTURE(chat);
  std::vector<Message> messages = {{"user", kTrace}, {"assistant", "I see <output> no tags."}};
  if (chat != "plain") messages.insert(messages.begin(), {"system", "Write <thinking> first."});
  const auto ids = ids_of(messages, *tokenizer, chat);
  CHECK(tags_in(ids, *tokenizer) == 1);
  messages.back().content = "I see no tags.";
  CHECK(ids_of(messages, *tokenizer, chat) == ids_of(messages, *plain, chat));
}

TEST_CASE("the bytes of tag tokens are those of the tags, and spans keep their weights") {
  const auto tokenizer = tagged();
  Record record;
  record.id = "row";
  record.messages = {{"user", "What is 2 + 2?"}};
  record.response = kTrace;
  ExampleStatus status;
  const Example example = example_of(record, ChatTemplate::named("llama3"), *tokenizer,
                                     {4096, SpanWeights::preset("output_only")}, status);
  REQUIRE(status == ExampleStatus::kOk);
  std::string trained;
  for (std::size_t i = 0; i < example.size(); ++i)
    if (example.span_type[i] == static_cast<std::int8_t>(SpanType::kOutput))
      trained += tokenizer->bytes_of(example.input_ids[i]);
  CHECK(trained == "4");
  for (std::size_t i = 0; i < example.size(); ++i)
    if (tags_in({example.input_ids[i]}, *tokenizer) == 1)
      CHECK(example.span_type[i] == static_cast<std::int8_t>(SpanType::kFormat));
}

TEST_CASE("tag tokens are written beside a model and read back with it") {
  const TempFolder folder;
  const auto tokenizer = tagged();
  const auto tags = tokenizer->tag_tokens();
  write_tag_tokens(folder.path(), {tags.begin(), tags.end()});
  const auto again = load_tagged_tokenizer(kFolder, folder.path());
  const std::vector<Message> messages = {{"user", "2 + 2?"}, {"assistant", kTrace}};
  CHECK(ids_of(messages, *again) == ids_of(messages, *tokenizer));
  CHECK(load_tagged_tokenizer(kFolder)->tag_tokens().empty());
  CHECK_THROWS_WITH(load_tagged_tokenizer(kTokenizerGolden + "gpt2", folder.path()),
                    Catch::Contains("tag_tokens.json") && Catch::Contains("another base"));
}

TEST_CASE("tokens that cannot stand for the tags are refused") {
  const auto tokenizer = load_tokenizer(kFolder);
  const auto gpt2 = load_tokenizer(kTokenizerGolden + "gpt2");
  CHECK(tag_tokens_named({}, *tokenizer).empty());
  CHECK_THROWS_WITH(tag_tokens_named({"reserved"}, *gpt2), Catch::Contains("leave the tags text"));
  CHECK_THROWS_WITH(tag_tokens_named({"<|eot_id|>"}, *tokenizer), Catch::Contains("1 tokens"));
  std::vector<std::string> names;
  for (const TagToken& tag : tag_tokens_named({"reserved"}, *tokenizer)) names.push_back(tag.token);
  CHECK(names.back() == "<|reserved_special_token_5|>");
  names[5] = names[0];
  CHECK_THROWS_WITH(tag_tokens_named(names, *tokenizer), Catch::Contains("stands for two tags"));
  names[5] = "<|absent|>";
  CHECK_THROWS_WITH(tag_tokens_named(names, *tokenizer), Catch::Contains("<|absent|>"));
}

}  // namespace reflect
