#include "data/chat_families.h"

#include <utility>

#include "data/utf8.h"
#include "reflect/base/error.h"

namespace reflect {
namespace {

using Kind = ChatPiece::Kind;

// What Python's str.strip (and Jinja's trim) takes for white space.
bool is_python_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

struct Extent {
  std::size_t begin, end;
  std::size_t size() const { return end - begin; }
};

Extent stripped(std::string_view text) {
  Extent extent{text.size(), text.size()};
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Character character = first_character(text.substr(at));
    if (!is_python_space(character.code_point)) {
      if (extent.begin == text.size()) extent.begin = at;
      extent.end = at + character.length;
    }
    at += character.length;
  }
  return extent.begin == text.size() ? Extent{0, 0} : extent;
}

}  // namespace

// The pieces of a conversation, in order. Pieces that end the turn of a message name it, so that
// they are trained with it.
class Rendering {
 public:
  static constexpr int kNoMessage = -1;

  explicit Rendering(const std::vector<Message>& messages) : messages_(messages) {}

  void bos(std::string_view text = "<s>") { add(Kind::kBos, text, kNoMessage); }
  void eos(int message) { add(Kind::kEos, "</s>", message); }
  void special(std::string_view text, int message = kNoMessage) {
    add(Kind::kSpecial, text, message);
  }
  void markup(std::string_view text, int message = kNoMessage) {
    add(Kind::kMarkup, text, message);
  }
  void content(int message, Extent extent) {
    add(Kind::kContent, std::string_view(at(message).content).substr(extent.begin, extent.size()),
        message);
    if (extent.size() > 0) pieces_.back().content_begin = extent.begin;
  }
  void content(int message) { content(message, {0, at(message).content.size()}); }
  void stripped_content(int message) { content(message, stripped(at(message).content)); }

  const Message& at(int message) const { return messages_[static_cast<std::size_t>(message)]; }
  int size() const { return static_cast<int>(messages_.size()); }
  bool has_system() const { return at(0).role == "system"; }
  int first_turn() const { return has_system() ? 1 : 0; }
  std::vector<ChatPiece> take() { return std::move(pieces_); }

 private:
  void add(Kind kind, std::string_view text, int message) {
    if (text.empty()) return;
    const bool assistant = message != kNoMessage && at(message).role == "assistant";
    const bool trained = assistant && at(message).trained;
    pieces_.push_back({kind, std::string(text), message, 0, trained, assistant});
  }

  const std::vector<Message>& messages_;
  std::vector<ChatPiece> pieces_;
};

namespace {

void demand_alternation(std::string_view family, const Rendering& out) {
  for (int i = out.first_turn(); i < out.size(); ++i) {
    const std::string_view expected = (i - out.first_turn()) % 2 == 0 ? "user" : "assistant";
    if (out.at(i).role != expected) {
      fail("chat",
           "message {} is of role '{}', but the template '{}' demands '{}' there: user and "
           "assistant alternate after one optional system message",
           i, out.at(i).role, family, expected);
    }
  }
}

void demand_system_first(std::string_view family, const Rendering& out) {
  for (int i = 1; i < out.size(); ++i) {
    if (out.at(i).role == "system") {
      fail("chat",
           "message {} is of role 'system', which the template '{}' takes only at the start", i,
           family);
    }
  }
}

void add_llama3_header(Rendering& out, std::string_view role) {
  out.special("<|start_header_id|>");
  out.markup(role);
  out.special("<|end_header_id|>");
  out.markup("\n\n");
}

void add_llama3_turns(Rendering& out, int first, const ChatOptions& options) {
  for (int i = first; i < out.size(); ++i) {
    add_llama3_header(out, out.at(i).role);
    out.stripped_content(i);
    out.special("<|eot_id|>", i);
  }
  if (options.add_generation_prompt) add_llama3_header(out, "assistant");
}

void render_llama3(Rendering& out, const ChatOptions& options) {
  out.bos("<|begin_of_text|>");
  add_llama3_turns(out, 0, options);
}

void render_llama31(Rendering& out, const ChatOptions& options) {
  out.bos("<|begin_of_text|>");
  add_llama3_header(out, "system");
  out.markup("Cutting Knowledge Date: December 2023\nToday Date: " + options.date + "\n\n");
  if (out.has_system()) out.stripped_content(0);
  out.special("<|eot_id|>");
  add_llama3_turns(out, out.first_turn(), options);
}

// The reference strips the first turn with its system block, so a blank question takes the line
// ends after the block with it.
void add_llama2_system_turn(Rendering& out) {
  out.markup("<<SYS>>\n");
  out.content(0);
  const std::size_t end = stripped(out.at(1).content).end;
  out.markup(end == 0 ? "\n<</SYS>>" : "\n<</SYS>>\n\n");
  out.content(1, {0, end});
}

void render_llama2(Rendering& out, const ChatOptions&) {
  demand_alternation("llama2", out);
  for (int i = out.first_turn(); i < out.size(); ++i) {
    if (out.at(i).role == "user") {
      out.bos();
      out.markup("[INST]");
      out.markup(" ");
      if (i == 1 && out.has_system()) {
        add_llama2_system_turn(out);
      } else {
        out.stripped_content(i);
      }
      out.markup(" ");
      out.markup("[/INST]");
    } else {
      out.markup(" ");
      out.stripped_content(i);
      out.markup(" ", i);
      out.eos(i);
    }
  }
}

// `lead` goes before every turn: nothing in the templates of 2023, a space in those of 2024.
void render_mistral_with(std::string_view name, std::string_view lead, Rendering& out) {
  demand_alternation(name, out);
  out.bos();
  for (int i = out.first_turn(); i < out.size(); ++i) {
    out.markup(lead);
    if (out.at(i).role == "user") {
      out.markup("[INST]");
      out.markup(" ");
      if (i == 1 && out.has_system()) {
        out.content(0);
        out.markup("\n\n");
      }
      out.content(i);
      out.markup(" ");
      out.markup("[/INST]");
    } else {
      out.content(i);
      out.eos(i);
    }
  }
}

void render_mistral(Rendering& out, const ChatOptions&) {
  render_mistral_with("mistral", "", out);
}

void render_mistral_v1(Rendering& out, const ChatOptions&) {
  render_mistral_with("mistral-v1", " ", out);
}

void render_chatml(Rendering& out, const ChatOptions& options) {
  for (int i = 0; i < out.size(); ++i) {
    out.special("<|im_start|>");
    out.markup(out.at(i).role + "\n");
    out.content(i);
    out.special("<|im_end|>", i);
    out.markup("\n");
  }
  if (options.add_generation_prompt) {
    out.special("<|im_start|>");
    out.markup("assistant\n");
  }
}

void render_zephyr(Rendering& out, const ChatOptions& options) {
  for (int i = 0; i < out.size(); ++i) {
    out.markup("<|" + out.at(i).role + "|>");
    out.markup("\n");
    out.content(i);
    out.eos(i);
    out.markup("\n");
  }
  if (options.add_generation_prompt) {
    out.markup("<|assistant|>");
    out.markup("\n");
  }
}

void render_vicuna(Rendering& out, const ChatOptions& options) {
  demand_system_first("vicuna", out);
  out.bos();
  if (out.has_system()) {
    out.content(0);
  } else {
    out.markup(
        "A chat between a curious user and an artificial intelligence assistant. The assistant "
        "gives helpful, detailed, and polite answers to the user's questions.");
  }
  out.markup(" ");
  for (int i = out.first_turn(); i < out.size(); ++i) {
    if (out.at(i).role == "user") {
      out.markup("USER: ");
      out.content(i);
      out.markup(" ");
    } else {
      out.markup("ASSISTANT: ");
      out.content(i);
      out.eos(i);
    }
  }
  if (options.add_generation_prompt) out.markup("ASSISTANT:");
}

void render_alpaca(Rendering& out, const ChatOptions& options) {
  demand_system_first("alpaca", out);
  out.bos();
  if (out.has_system()) {
    out.content(0);
  } else {
    out.markup(
        "Below is an instruction that describes a task. Write a response that appropriately "
        "completes the request.");
  }
  out.markup("\n\n");
  for (int i = out.first_turn(); i < out.size(); ++i) {
    if (out.at(i).role == "user") {
      out.markup("### Instruction:\n");
      out.content(i);
    } else {
      out.markup("### Response:\n");
      out.content(i);
      out.eos(i);
    }
    out.markup("\n\n");
  }
  if (options.add_generation_prompt) out.markup("### Response:\n");
}

void render_plain(Rendering& out, const ChatOptions&) {
  out.bos();
  for (int i = 0; i < out.size(); ++i) {
    out.content(i);
    const bool assistant = out.at(i).role == "assistant";
    if (assistant) out.eos(i);
    if (!assistant || i + 1 < out.size()) out.markup("\n");
  }
}

}  // namespace

std::vector<ChatPiece> render_as(const ChatFamily& family, const std::vector<Message>& messages,
                                 const ChatOptions& options) {
  Rendering out(messages);
  family.render(out, options);
  return out.take();
}

const std::vector<ChatFamily>& chat_families() {
  static const std::vector<ChatFamily> families = {
      {"llama3", {"<|eot_id|>"}, render_llama3},
      {"llama3.1", {"<|eot_id|>", "<|eom_id|>"}, render_llama31},
      {"llama2", {}, render_llama2},
      {"chatml", {"<|im_end|>"}, render_chatml},
      {"mistral", {}, render_mistral},
      {"mistral-v1", {}, render_mistral_v1},
      {"zephyr", {}, render_zephyr},
      {"vicuna", {}, render_vicuna},
      {"alpaca", {}, render_alpaca},
      {"plain", {}, render_plain},
  };
  return families;
}

}  // namespace reflect
