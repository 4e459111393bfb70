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

// A piece of rendered text.
struct ChatPiece {
  enum class Kind {
    kSpecial,  // the exact text of one special token, which the tokenizer must have
    kBos,      // the tokenizer's BOS, whatever its text ("<s>" here); nothing if it has none
    kEos,      // the tokenizer's EOS ("</s>" here)
    kMarkup,   // text of the template
    kContent,  // bytes of a message
  };
  Kind kind;
  std::string text;
  int message = -1;               // index of the message it renders; -1: none
  std::size_t content_begin = 0;  // kContent: offset of `text` in the message's content (trimming)
  bool trained = false;           // the assistant's content and what follows up to its end of turn
  bool assistant = false;         // of a message of the assistant's, trained or not
};

struct ChatOptions {
  bool add_generation_prompt = false;  // end with the opening of an assistant turn
  std::string date = "26 Jul 2024";    // llama3.1's "Today Date"
};

struct ChatFamily;  // how one family renders; src/data/chat_families.h

class ChatTemplate {
 public:
  // Throws Error (usage) that lists the known names.
  static ChatTemplate named(std::string_view name);
  // By the chat_template text of tokenizer_config.json (or chat_template.jinja) in `folder`, with
  // its default system text if it is ChatML. Throws Error when it is none of the known ones; a
  // folder without a template is "plain".
  static ChatTemplate detect(const std::string& folder);
  // `name` where it is not "auto", else detect(folder).
  static ChatTemplate choose(const std::string& name, const std::string& folder);
  static std::vector<std::string> names();

  const std::string& name() const { return name_; }
  // The pieces' texts joined are the reference rendering, byte for byte. BOS comes exactly once, as
  // the first piece, where the family has one; llama2 opens every user turn with it, as its
  // reference does. Throws Error for a role or an order of roles that the family does not know.
  std::vector<ChatPiece> render(const std::vector<Message>& messages,
                                const ChatOptions& options = {}) const;
  // Special tokens besides EOS that end an assistant turn.
  std::vector<std::string> end_of_turn() const;
  // Ids that end a generated turn: EOS and those of end_of_turn() that the tokenizer has.
  std::vector<std::int32_t> end_ids(const Tokenizer& tokenizer) const;

 private:
  explicit ChatTemplate(const ChatFamily& family);

  const ChatFamily* family_;
  std::string name_;
  std::string default_system_;  // put first where a conversation has no system message
};

std::string joined_text(const std::vector<ChatPiece>& pieces);

// One id of a rendered conversation.
struct ChatToken {
  std::int32_t id;
  int message;             // -1: none
  std::size_t begin, end;  // bytes in that message's content; empty for markup and special tokens
  bool trained;
};

// Ids of the rendered pieces. Text of a special token inside a message stays text. A tokenizer that
// puts BOS before texts does so where the template has none. Throws Error when the template needs a
// special token that the tokenizer does not have.
std::vector<ChatToken> encode_chat(const std::vector<ChatPiece>& pieces,
                                   const Tokenizer& tokenizer);

}  // namespace reflect
