#include "reflect/data/chat.h"

#include <catch2/catch.hpp>

#include "reflect/base/error.h"

namespace reflect {
namespace {

TEST_CASE("llama3 renders headers, trims contents and trains the assistant's turn") {
  const ChatTemplate chat = ChatTemplate::named("llama3");
  const std::vector<ChatPiece> pieces = chat.render(
      {{"user", " Hi\n"}, {"assistant", "\xC2\xA0Yo "}}, {.add_generation_prompt = true});
  CHECK(joined_text(pieces) ==
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nYo<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n");
  std::string trained;
  for (const ChatPiece& piece : pieces) {
    if (piece.trained) trained += piece.text;
  }
  CHECK(trained == "Yo<|eot_id|>");
}

TEST_CASE("plain ends answers with EOS and everything else with a line end") {
  const ChatTemplate chat = ChatTemplate::named("plain");
  CHECK(joined_text(chat.render({{"user", "2+2"}, {"assistant", "4"}})) == "<s>2+2\n4</s>");
  CHECK(joined_text(
            chat.render({{"system", "S"}, {"user", "2+2"}, {"assistant", "4"}, {"user", "3"}})) ==
        "<s>S\n2+2\n4</s>\n3\n");
}

TEST_CASE("an unknown template is an error that lists the known ones") {
  CHECK_THROWS_WITH(ChatTemplate::named("llama4"), Catch::Contains("'llama4'") &&
                                                       Catch::Contains("llama3.1") &&
                                                       Catch::Contains("plain"));
}

}  // namespace
}  // namespace reflect
