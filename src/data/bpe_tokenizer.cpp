#include "data/bpe_tokenizer.h"

#include <atomic>
#include <limits>
#include <utility>

#include "data/word_cache.h"
#include "reflect/base/error.h"

namespace reflect {

struct BpeTokenizer::Output {
  SpecialText special;
  std::vector<WordPiece> pieces;  // of the word at hand
  std::vector<Token> tokens;
};

namespace {

std::atomic<std::uint32_t> last_instance = 0;

}  // namespace

BpeTokenizer::BpeTokenizer(BpeTokenizerParts parts)
    : instance_(++last_instance), parts_(std::move(parts)) {
  special_.resize(parts_.bytes_of_id.size());
  for (const AddedToken& token : parts_.added_tokens) {
    added_ids_.emplace(token.text, token.id);
    if (token.special) special_[static_cast<std::size_t>(token.id)] = true;
    if (token.normalized) {
      normalized_finder_.add(token, parts_.normalizer.apply(AlignedText(token.text)).text());
    } else {
      raw_finder_.add(token, token.text);
    }
  }
}

std::vector<Token> BpeTokenizer::encode(std::string_view text, SpecialText special,
                                        bool continues) const {
  if (text.size() > std::numeric_limits<std::uint32_t>::max() / 2)
    fail("tokenizer", "a text of {} bytes is too long; split it", text.size());
  Output out{special, {}, {}};
  out.tokens.reserve(text.size() / 3);
  const AlignedText whole = repair_utf8(AlignedText(text));
  for (const TextPart& part : raw_finder_.split(whole.text(), special)) {
    const bool at_start = !continues && part.range.begin == 0;
    if (part.token != nullptr) {
      out.tokens.push_back(
          {part.token->id, whole.origin(part.range.begin), whole.origin(part.range.end)});
    } else {
      encode_normalized(parts_.normalizer.apply(whole.part(part.range.begin, part.range.end)),
                        at_start, out);
    }
  }
  cover_text(out.tokens, text.size());
  return std::move(out.tokens);
}

void BpeTokenizer::encode_normalized(AlignedText text, bool at_start, Output& out) const {
  for (const TextPart& part : normalized_finder_.split(text.text(), out.special)) {
    const auto [begin, end] = part.range;
    if (part.token != nullptr) {
      out.tokens.push_back({part.token->id, text.origin(begin), text.origin(end)});
    } else {
      encode_words(text.part(begin, end), at_start && begin == 0, out);
    }
  }
}

void BpeTokenizer::encode_words(AlignedText text, bool at_start, Output& out) const {
  const SplitText words = parts_.pre_tokenizer.split(std::move(text), at_start);
  WordCache& cache = WordCache::of_this_thread();
  for (const ByteRange& range : words.ranges) {
    const std::string_view word = words.text.text().substr(range.begin, range.end - range.begin);
    out.pieces.clear();
    cache.append(instance_, word, out.pieces,
                 [&](std::vector<WordPiece>& pieces) { parts_.bpe.encode(word, pieces); });
    std::uint32_t begin = words.text.origin(range.begin);
    for (const WordPiece& piece : out.pieces) {
      const std::uint32_t end = words.text.origin(range.begin + piece.end);
      out.tokens.push_back({piece.id, begin, end});
      begin = end;
    }
  }
}

std::string_view BpeTokenizer::bytes_of(std::int32_t id) const {
  if (id < 0 || id >= vocab_size())
    fail("tokenizer", "id {} is not in the vocabulary of {} ids", id, vocab_size());
  return parts_.bytes_of_id[static_cast<std::size_t>(id)];
}

bool BpeTokenizer::is_special(std::int32_t id) const {
  return id >= 0 && id < vocab_size() && special_[static_cast<std::size_t>(id)];
}

std::optional<std::int32_t> BpeTokenizer::special_id(std::string_view text) const {
  const auto found = added_ids_.find(std::string(text));
  if (found == added_ids_.end()) return std::nullopt;
  return found->second;
}

std::int32_t BpeTokenizer::vocab_size() const {
  return static_cast<std::int32_t>(parts_.bytes_of_id.size());
}

}  // namespace reflect
