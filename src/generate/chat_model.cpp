#include "reflect/generate/chat_model.h"

#include <set>

#include "reflect/data/tag_tokens.h"

namespace reflect {

ChatModel load_chat_model(const std::string& folder, const std::string& template_name,
                          const Runtime& runtime, const BaseConfig& base,
                          const Placement& placement) {
  ChatTemplate chat = ChatTemplate::choose(template_name, folder);
  auto tokenizer = load_tagged_tokenizer(folder);
  auto llama = load_llama(folder, runtime, base, placement);
  auto end_ids = end_ids_of(llama->config(), *tokenizer, chat);
  return {std::move(llama), std::move(tokenizer), std::move(chat), std::move(end_ids)};
}

std::vector<std::int32_t> end_ids_of(const LlamaConfig& config, const Tokenizer& tokenizer,
                                     const ChatTemplate& chat) {
  std::set<std::int32_t> ids(config.eos_token_ids.begin(), config.eos_token_ids.end());
  if (const auto eos = tokenizer.eos_id()) ids.insert(*eos);
  for (const std::string& name : chat.end_of_turn()) {
    if (const auto id = tokenizer.special_id(name)) ids.insert(*id);
  }
  return {ids.begin(), ids.end()};
}

std::vector<std::int32_t> prompt_ids(const ChatTemplate& chat, const Tokenizer& tokenizer,
                                     const std::vector<Message>& messages, std::string_view begun) {
  std::vector<ChatPiece> pieces = chat.render(messages, {.add_generation_prompt = true});
  if (!begun.empty()) {
    ChatPiece said;
    said.kind = ChatPiece::Kind::kContent;
    said.text = begun;
    said.assistant = true;
    pieces.push_back(std::move(said));
  }
  std::vector<std::int32_t> ids;
  for (const ChatToken& token : encode_chat(pieces, tokenizer)) ids.push_back(token.id);
  return ids;
}

std::vector<std::int32_t> prompt_ids(const ChatModel& model, const std::vector<Message>& messages,
                                     std::string_view begun) {
  return prompt_ids(model.chat, *model.tokenizer, messages, begun);
}

}  // namespace reflect
