// Ids of rendered conversations: special pieces one by one, the text between them as a whole.
#include <algorithm>
#include <optional>

#include "reflect/base/error.h"
#include "reflect/data/chat.h"
#include "reflect/data/tag_tokens.h"

namespace reflect {
namespace {

using Kind = ChatPiece::Kind;

std::int32_t needed_id(std::optional<std::int32_t> id, std::string_view what) {
  if (!id) {
    fail("chat",
         "the tokenizer has no {}, which the chat template needs; choose another template "
         "or complete tokenizer_config.json",
         what);
  }
  return *id;
}

class ChatEncoder {
 public:
  explicit ChatEncoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void add_bos() { tokens_.push_back({needed_id(tokenizer_.bos_id(), "BOS"), -1, 0, 0, false}); }

  void add(const ChatPiece& piece) {
    if (piece.kind == Kind::kBos && !tokenizer_.bos_id()) return;
    if (const std::optional<std::int32_t> id = special_id_of(piece)) {
      encode_run();
      const std::size_t at = piece.message < 0 ? 0 : end_of_content_;
      tokens_.push_back({*id, piece.message, at, at, piece.trained});
    } else {
      run_.push_back(&piece);
      run_text_ += piece.text;
    }
    if (piece.kind == Kind::kContent) end_of_content_ = piece.content_begin + piece.text.size();
  }

  std::vector<ChatToken> take() {
    encode_run();
    return std::move(tokens_);
  }

 private:
  std::optional<std::int32_t> special_id_of(const ChatPiece& piece) const {
    switch (piece.kind) {
      case Kind::kBos:
        return tokenizer_.bos_id();
      case Kind::kEos:
        return needed_id(tokenizer_.eos_id(), "EOS");
      case Kind::kSpecial:
        return needed_id(tokenizer_.special_id(piece.text), "token '" + piece.text + "'");
      case Kind::kMarkup:  // "[INST]" is a token of some tokenizers
        return tokenizer_.special_id(piece.text);
      case Kind::kContent:
        break;
    }
    return std::nullopt;
  }

  // Ids of the run's text; tags that have a token are one id in what the assistant wrote.
  std::vector<Token> tokens_of_run() const {
    std::vector<Token> tokens;
    std::size_t done = 0;  // bytes of the run
    const auto encode_up_to = [&](std::size_t end) {
      const std::string_view text = std::string_view(run_text_).substr(done, end - done);
      const auto shift = static_cast<std::uint32_t>(done);
      const bool continues = !tokens_.empty() || !tokens.empty();
      for (const Token& token : tokenizer_.encode(text, SpecialText::kPlain, continues))
        tokens.push_back({token.id, token.begin + shift, token.end + shift});
      done = end;
    };
    std::size_t begin = 0;
    for (const ChatPiece* piece : run_) {
      const std::size_t end = begin + piece->text.size();
      const bool has_tags = piece->kind == Kind::kContent && piece->assistant;
      for (std::size_t at = begin; at < end && has_tags; ++at) {
        const TagToken* tag = tag_at(std::string_view(run_text_).substr(at, end - at));
        if (tag == nullptr) continue;
        if (at > done) encode_up_to(at);
        done = at + tag->tag.size();
        tokens.push_back(
            {tag->id, static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(done)});
        at = done - 1;
      }
      begin = end;
    }
    if (done < run_text_.size()) encode_up_to(run_text_.size());
    return tokens;
  }

  const TagToken* tag_at(std::string_view text) const {
    if (!text.starts_with('<')) return nullptr;
    for (const TagToken& tag : tokenizer_.tag_tokens())
      if (text.starts_with(tag.tag)) return &tag;
    return nullptr;
  }

  // A token belongs to the content that it has bytes of, else to the piece that it ends in.
  void encode_run() {
    std::size_t piece = 0;
    std::size_t piece_begin = 0;
    for (const Token& token : tokens_of_run()) {
      const auto piece_end = [&] { return piece_begin + run_[piece]->text.size(); };
      while (piece + 1 < run_.size() && token.begin >= piece_end()) {
        piece_begin = piece_end();
        ++piece;
      }
      std::size_t owner = piece;
      std::size_t owner_begin = piece_begin;
      while (run_[owner]->kind != Kind::kContent && owner + 1 < run_.size() &&
             token.end > owner_begin + run_[owner]->text.size()) {
        owner_begin += run_[owner]->text.size();
        ++owner;
      }
      add_token(token, *run_[owner], owner_begin);
    }
    run_.clear();
    run_text_.clear();
  }

  void add_token(const Token& token, const ChatPiece& piece, std::size_t piece_begin) {
    ChatToken result{token.id, piece.message, 0, 0, piece.trained};
    if (piece.kind == Kind::kContent) {
      const std::size_t piece_end = piece_begin + piece.text.size();
      const auto in_content = [&](std::size_t at) {
        return piece.content_begin + std::clamp(at, piece_begin, piece_end) - piece_begin;
      };
      result.begin = in_content(token.begin);
      result.end = in_content(token.end);
    }
    tokens_.push_back(result);
  }

  const Tokenizer& tokenizer_;
  std::vector<ChatToken> tokens_;
  std::vector<const ChatPiece*> run_;  // since the last special token
  std::string run_text_;
  std::size_t end_of_content_ = 0;
};

}  // namespace

std::vector<ChatToken> encode_chat(const std::vector<ChatPiece>& pieces,
                                   const Tokenizer& tokenizer) {
  ChatEncoder encoder(tokenizer);
  const bool has_bos = !pieces.empty() && pieces.front().kind == Kind::kBos;
  if (!has_bos && tokenizer.adds_bos()) encoder.add_bos();
  for (const ChatPiece& piece : pieces) encoder.add(piece);
  return encoder.take();
}

}  // namespace reflect
