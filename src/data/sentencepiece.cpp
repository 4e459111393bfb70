// SentencePiece models (tokenizer.model), run by the sentencepiece library.
#include <sentencepiece_processor.h>

#include <algorithm>

#include "data/added_tokens.h"
#include "data/aligned_text.h"
#include "data/piece_spelling.h"
#include "data/tokenizer_files.h"
#include "reflect/base/error.h"
#include "reflect/base/file.h"

namespace reflect {
namespace {

using Processor = sentencepiece::SentencePieceProcessor;

// A ModelProto that, appended to another one, sets normalizer_spec.add_dummy_prefix to false.
constexpr std::string_view kNoDummyPrefix("\x1a\x02\x18\x00", 4);

void load(Processor& processor, const std::string& model, const std::string& path) {
  const auto status = processor.LoadFromSerializedProto(model);
  if (!status.ok()) {
    fail("tokenizer",
         "{} is neither a SentencePiece model ({}) nor a tiktoken file; fetch it again", path,
         status.message());
  }
}

class SentencePieceTokenizer : public Tokenizer {
 public:
  SentencePieceTokenizer(const std::string& path, const TokenizerConfig& config);

  std::vector<Token> encode(std::string_view text, SpecialText special,
                            bool continues) const override;
  std::string_view bytes_of(std::int32_t id) const override;
  bool is_special(std::int32_t id) const override {
    return id >= 0 && id < vocab_size() && special_[static_cast<std::size_t>(id)];
  }
  std::optional<std::int32_t> special_id(std::string_view text) const override;
  std::int32_t vocab_size() const override { return static_cast<std::int32_t>(bytes_.size()); }
  std::optional<std::int32_t> bos_id() const override { return bos_id_; }
  std::optional<std::int32_t> eos_id() const override { return eos_id_; }
  bool adds_bos() const override { return adds_bos_; }
  bool strips_leading_space() const override { return has_dummy_prefix_; }

 private:
  void read_pieces();
  void add_token(const AddedToken& token);
  void encode_part(const AlignedText& part, bool with_prefix, std::vector<Token>& tokens) const;
  void share_characters(std::vector<Token>& tokens, std::size_t first) const;

  Processor processor_;
  Processor without_prefix_;
  std::vector<std::string> bytes_;
  std::vector<bool> special_;
  std::vector<AddedToken> added_tokens_;
  AddedTokenFinder finder_;
  std::optional<std::int32_t> bos_id_;
  std::optional<std::int32_t> eos_id_;
  bool adds_bos_ = true;
  bool has_dummy_prefix_ = false;
  bool legacy_ = true;  // a space goes before every part of a text, not only before the first
};

SentencePieceTokenizer::SentencePieceTokenizer(const std::string& path,
                                               const TokenizerConfig& config) {
  const std::string model = read_file(path);
  load(processor_, model, path);
  load(without_prefix_, model + std::string(kNoDummyPrefix), path);
  const bool model_prefixes = processor_.EncodeAsPieces("a").at(0).starts_with(kSpaceMark);
  has_dummy_prefix_ = model_prefixes && config.add_prefix_space.value_or(true);
  legacy_ = config.legacy.value_or(true);
  read_pieces();
  for (const AddedToken& token : config.added_tokens) add_token(token);
  for (const AddedToken& token : added_tokens_) finder_.add(token, token.text);
  const auto id_or = [&](const std::optional<std::string>& name, int model_id) {
    const std::optional<std::int32_t> id = name ? special_id(*name) : std::nullopt;
    return id || model_id < 0 ? id : std::optional<std::int32_t>(model_id);
  };
  bos_id_ = id_or(config.bos_token, processor_.bos_id());
  eos_id_ = id_or(config.eos_token, processor_.eos_id());
  adds_bos_ = config.adds_bos.value_or(bos_id_.has_value());
}

void SentencePieceTokenizer::read_pieces() {
  for (int id = 0; id < processor_.GetPieceSize(); ++id) {
    const std::string& piece = processor_.IdToPiece(id);
    const auto byte = processor_.IsByte(id) ? byte_token_value(piece) : std::nullopt;
    bytes_.push_back(byte ? std::string(1, static_cast<char>(*byte)) : with_spaces(piece));
    special_.push_back(false);
    if (processor_.IsControl(id) || processor_.IsUnknown(id))
      add_token({.id = id, .text = piece, .special = true});
  }
}

void SentencePieceTokenizer::add_token(const AddedToken& token) {
  const auto index = static_cast<std::size_t>(token.id);
  if (index >= bytes_.size()) {
    bytes_.resize(index + 1);
    special_.resize(index + 1);
  }
  bytes_[index] = token.text;
  special_[index] = token.special;
  std::erase_if(added_tokens_, [&](const AddedToken& other) { return other.id == token.id; });
  added_tokens_.push_back(token);
}

std::vector<Token> SentencePieceTokenizer::encode(std::string_view text, SpecialText special,
                                                  bool continues) const {
  std::vector<Token> tokens;
  const AlignedText whole = repair_utf8(AlignedText(text));
  for (const TextPart& part : finder_.split(whole.text(), special)) {
    const auto [begin, end] = part.range;
    if (part.token != nullptr) {
      tokens.push_back({part.token->id, whole.origin(begin), whole.origin(end)});
    } else {
      const bool at_start = begin == 0 && !continues;
      encode_part(whole.part(begin, end), has_dummy_prefix_ && (at_start || legacy_), tokens);
    }
  }
  cover_text(tokens, text.size());
  return tokens;
}

void SentencePieceTokenizer::encode_part(const AlignedText& part, bool with_prefix,
                                         std::vector<Token>& tokens) const {
  const Processor& processor = with_prefix ? processor_ : without_prefix_;
  const auto encoded = processor.EncodeAsImmutableProto(part.text());
  const std::size_t first = tokens.size();
  for (const auto& piece : encoded.pieces()) {
    tokens.push_back({static_cast<std::int32_t>(piece.id()), part.origin(piece.begin()),
                      part.origin(piece.end())});
  }
  share_characters(tokens, first);
}

// The library gives a whole character to the last of its byte tokens; here each has its byte.
void SentencePieceTokenizer::share_characters(std::vector<Token>& tokens, std::size_t first) const {
  while (first < tokens.size()) {
    std::size_t last = first;
    while (last + 1 < tokens.size() && tokens[last].begin == tokens[last].end &&
           processor_.IsByte(tokens[last].id))
      ++last;
    const Token whole = tokens[last];
    for (std::uint32_t i = 0; first + i < last; ++i)
      tokens[first + i].end = std::min(whole.begin + i + 1, whole.end);
    first = last + 1;
  }
}

std::string_view SentencePieceTokenizer::bytes_of(std::int32_t id) const {
  if (id < 0 || id >= vocab_size())
    fail("tokenizer", "id {} is not in the vocabulary of {} ids", id, vocab_size());
  return bytes_[static_cast<std::size_t>(id)];
}

std::optional<std::int32_t> SentencePieceTokenizer::special_id(std::string_view text) const {
  const auto found = std::find_if(added_tokens_.begin(), added_tokens_.end(),
                                  [&](const AddedToken& token) { return token.text == text; });
  return found == added_tokens_.end() ? std::nullopt : std::optional(found->id);
}

}  // namespace

std::unique_ptr<Tokenizer> read_sentencepiece(const std::string& path,
                                              const TokenizerConfig& config) {
  return std::make_unique<SentencePieceTokenizer>(path, config);
}

}  // namespace reflect
