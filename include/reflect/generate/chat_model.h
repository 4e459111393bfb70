// A checkpoint that is ready to be talked to: weights, tokenizer, chat template, end tokens.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "reflect/data/chat.h"
#include "reflect/data/tokenizer.h"
#include "reflect/model/llama.h"

namespace reflect {

struct ChatModel {
  std::unique_ptr<Llama> llama;
  std::unique_ptr<Tokenizer> tokenizer;
  ChatTemplate chat;
  std::vector<std::int32_t> end_ids;  // end of turn, and end of text by checkpoint and tokenizer
};

// `template_name` "auto": the checkpoint's own. The tokenizer has the checkpoint's tag tokens; see
// load_tagged_tokenizer for an adapter's.
ChatModel load_chat_model(const std::string& folder, const std::string& template_name,
                          const Runtime& runtime, const BaseConfig& base,
                          const Placement& placement);

// Tokens that end an answer: end of turn, and end of text by checkpoint and tokenizer.
std::vector<std::int32_t> end_ids_of(const LlamaConfig& config, const Tokenizer& tokenizer,
                                     const ChatTemplate& chat);

// Ids of the messages and the opening of the assistant's turn; `begun` is what it has already said.
std::vector<std::int32_t> prompt_ids(const ChatTemplate& chat, const Tokenizer& tokenizer,
                                     const std::vector<Message>& messages,
                                     std::string_view begun = "");
std::vector<std::int32_t> prompt_ids(const ChatModel& model, const std::vector<Message>& messages,
                                     std::string_view begun = "");

}  // namespace reflect
