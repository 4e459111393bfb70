// Chat templates: messages to the exact text of a model family, with its special tokens and the
// bytes that the assistant wrote.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "reflect/data/tokenizer.h"

namespace reflect {

struct Message {
  std::string role;  // "system", "user", "assistant"
  std::string content;
  bool trained = true;  // of assistant turns: whether they carry loss
};

// A piece of rendered text. Special pieces are the exact text of one special token.
struct ChatPiece {
  enum class Kind { kSpecial, kMarkup, kContent };
  Kind kind;
  std::string text;
  int message = -1;               // index of the message it renders; -1: none
  std::size_t content_begin = 0;  // kContent: offset of `text` in the message's content (trimming)
  bool trained = false;           // the assistant's content and its end-of-turn token
};

struct ChatOptions {
  bool add_generation_prompt = false;  // end with the opening of an assistant turn
  std::string date = "26 Jul 2024";    // llama3.1's "Today Date"
};

class ChatTemplate {
 public:
  // Throws Error (usage) that lists the known names.
  static ChatTemplate named(std::string_view name);
  // By the chat_template text of tokenizer_config.json (or chat_template.jinja) in `folder`.
  // Throws Error when it is none of the known ones; a folder without a template is "plain".
  static ChatTemplate detect(const std::string& folder);
  // `name` where it is not "auto", else detect(folder).
  static ChatTemplate choose(const std::string& name, const std::string& folder);
  static std::vector<std::string> names();

  const std::string& name() const { return name_; }
  // BOS comes exactly once, as the first piece, where the family has one. The pieces' texts joined
  // are the reference rendering, byte for byte.
  std::vector<ChatPiece> render(const std::vector<Message>& messages,
                                const ChatOptions& options = {}) const;
  // Special tokens that end an assistant turn.
  const std::vector<std::string>& end_of_turn() const { return end_of_turn_; }

 private:
  std::string name_;
  std::vector<std::string> end_of_turn_;
};

std::string joined_text(const std::vector<ChatPiece>& pieces);

// One id of a rendered conversation.
struct ChatToken {
  std::int32_t id;
  int message;             // -1: none
  std::size_t begin, end;  // bytes in that message's content; empty for markup and special tokens
  bool trained;
};

// Ids of the rendered pieces. Text of a special token inside a message stays text.
std::vector<ChatToken> encode_chat(const std::vector<ChatPiece>& pieces,
                                   const Tokenizer& tokenizer);

}  // namespace reflect
