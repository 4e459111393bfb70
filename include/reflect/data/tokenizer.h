// Tokenizers: text to ids, each id with its bytes in the original text, and back.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace reflect {

// One id and the half-open byte range [begin, end) of the original text that it stands for. Ranges
// are sorted and cover the text; a byte that several tokens share (a normalizer grew the text) is
// owned by the first of them, the rest are empty, and so is a space that was put before the text.
struct Token {
  std::int32_t id;
  std::uint32_t begin;
  std::uint32_t end;
};

enum class SpecialText {
  kPlain,  // "<|eot_id|>" in the text is ordinary text: the default for content
  kParse,  // it becomes the special token, as the reference libraries do
};

struct TagToken;  // tag_tokens.h

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Ids of `text`, without BOS or EOS. Invalid UTF-8 is replaced by U+FFFD (one for each maximal
  // subpart), byte ranges still refer to `text`. `continues`: the text follows a special token, so
  // a tokenizer that puts a space only before the start of a whole text does not. Safe to call from
  // several threads.
  virtual std::vector<Token> encode(std::string_view text,
                                    SpecialText special = SpecialText::kPlain,
                                    bool continues = false) const = 0;

  // The raw bytes that the id decodes to; a special token's are its name.
  virtual std::string_view bytes_of(std::int32_t id) const = 0;
  virtual bool is_special(std::int32_t id) const = 0;
  // The id of a special or added token by its exact text.
  virtual std::optional<std::int32_t> special_id(std::string_view text) const = 0;

  virtual std::int32_t vocab_size() const = 0;  // highest id + 1
  virtual std::optional<std::int32_t> bos_id() const = 0;
  virtual std::optional<std::int32_t> eos_id() const = 0;
  // Whether the reference library puts BOS (EOS) around a plain text.
  virtual bool adds_bos() const = 0;
  // Texts that are one id each where the assistant writes them, and only there; mostly none.
  virtual std::span<const TagToken> tag_tokens() const { return {}; }
  // Whether a decoded text starts with a space that was not there (SentencePiece's dummy prefix).
  virtual bool strips_leading_space() const { return false; }
};

// Reads tokenizer.json, tokenizer.model (SentencePiece or tiktoken) with tokenizer_config.json
// from a checkpoint folder, or one such file. Throws Error that names the file and the remedy.
std::unique_ptr<Tokenizer> load_tokenizer(const std::string& folder_or_file);

// Text of ids. Special tokens are left out unless `keep_special`. Bytes that are not valid UTF-8
// become U+FFFD.
std::string decode(const Tokenizer& tokenizer, std::span<const std::int32_t> ids,
                   bool keep_special = false);

// Text as ids arrive: holds back the bytes of a character that is not complete yet.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, bool keep_special = false)
      : tokenizer_(tokenizer), keep_special_(keep_special) {}
  std::string push(std::int32_t id);  // the text that became certain
  std::string finish();               // what was held back, repaired with U+FFFD

 private:
  const Tokenizer& tokenizer_;
  bool keep_special_;
  bool at_start_ = true;
  std::string held_;
};

}  // namespace reflect
