// The tokenizer that tokenizer.json and tiktoken files describe: added tokens, a normalizer, a
// splitter and byte-pair encoding.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "data/added_tokens.h"
#include "data/bpe.h"
#include "data/normalizer.h"
#include "data/pre_tokenizer.h"
#include "reflect/data/tokenizer.h"

namespace reflect {

// What a file says; the readers fill it.
struct BpeTokenizerParts {
  std::vector<std::string> bytes_of_id;  // raw bytes; empty for ids that nothing uses
  std::vector<AddedToken> added_tokens;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  Bpe bpe{{}};
  std::optional<std::int32_t> bos_id;
  std::optional<std::int32_t> eos_id;
  bool adds_bos = false;
  bool strips_leading_space = false;
};

class BpeTokenizer : public Tokenizer {
 public:
  explicit BpeTokenizer(BpeTokenizerParts parts);

  std::vector<Token> encode(std::string_view text, SpecialText special,
                            bool continues) const override;
  std::string_view bytes_of(std::int32_t id) const override;
  bool is_special(std::int32_t id) const override;
  std::optional<std::int32_t> special_id(std::string_view text) const override;
  std::int32_t vocab_size() const override;
  std::optional<std::int32_t> bos_id() const override { return parts_.bos_id; }
  std::optional<std::int32_t> eos_id() const override { return parts_.eos_id; }
  bool adds_bos() const override { return parts_.adds_bos; }
  bool strips_leading_space() const override { return parts_.strips_leading_space; }

 private:
  struct Output;
  void encode_normalized(AlignedText text, bool at_start, Output& out) const;
  void encode_words(AlignedText text, bool at_start, Output& out) const;

  const std::uint32_t instance_;  // no two tokenizers of the process have the same
  BpeTokenizerParts parts_;
  AddedTokenFinder raw_finder_;         // looks before normalization
  AddedTokenFinder normalized_finder_;  // looks after it
  std::unordered_map<std::string, std::int32_t> added_ids_;
  std::vector<bool> special_;
};

}  // namespace reflect
