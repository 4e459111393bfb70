#include "reflect/generate/chat_model.h"

#include <catch2/catch.hpp>

namespace reflect {
namespace {

TEST_CASE("a chat model renders prompts and knows what ends a turn") {
  const ChatModel model =
      load_chat_model(REFLECT_SOURCE_DIR "/tests/golden/model/llama3", "auto", Runtime{}, {}, {});
  CHECK(model.end_ids == std::vector<std::int32_t>{316, 319});
  const std::string opened =
      "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHow many?<|eot_id|>"
      "<|start_header_id|>assistant<|end_header_id|>\n\n";
  const auto ids = prompt_ids(model, {{"user", "How many?"}});
  CHECK(decode(*model.tokenizer, ids, /*keep_special=*/true) == opened);
  const auto begun = prompt_ids(model, {{"user", "How many?"}}, "Three <|eot_id|>");
  CHECK(decode(*model.tokenizer, begun, /*keep_special=*/true) == opened + "Three <|eot_id|>");
  CHECK(std::count(begun.begin(), begun.end(), 319) == 1);  // what was said stays text
}

}  // namespace
}  // namespace reflect
