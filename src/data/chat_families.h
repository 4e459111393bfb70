// How each chat template family renders messages.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "reflect/data/chat.h"

namespace reflect {

class Rendering;

struct ChatFamily {
  std::string_view name;
  std::vector<std::string> end_of_turn;  // special tokens besides EOS
  void (*render)(Rendering& out, const ChatOptions& options);
};

const std::vector<ChatFamily>& chat_families();

// `messages` must not be empty.
std::vector<ChatPiece> render_as(const ChatFamily& family, const std::vector<Message>& messages,
                                 const ChatOptions& options);

}  // namespace reflect
