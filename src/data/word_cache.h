// Pieces of short words that were encoded before: a table of fixed size for each thread.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "data/bpe.h"

namespace reflect {

// Direct-mapped: a new word replaces the one in its place, so memory is bounded and looking up is
// one comparison. `owner` keeps the words of several tokenizers apart.
class WordCache {
 public:
  // The calling thread's cache.
  static WordCache& of_this_thread();

  // Appends the pieces of `word`, which `encode(out)` appends where they are not known.
  template <class Encode>
  void append(std::uint32_t owner, std::string_view word, std::vector<WordPiece>& out,
              Encode encode) {
    if (word.size() > kMaxBytes) return encode(out);
    Entry& entry = entries_[place_of(word)];
    if (entry.owner == owner && std::string_view(entry.word, entry.size) == word) {
      for (std::size_t i = 0; i < entry.pieces; ++i) out.push_back({entry.ids[i], entry.ends[i]});
      return;
    }
    const std::size_t first = out.size();
    encode(out);
    if (out.size() - first <= kMaxPieces) store(entry, owner, word, out, first);
  }

 private:
  static constexpr std::size_t kEntries = 16384;
  static constexpr std::size_t kMaxBytes = 28;
  static constexpr std::size_t kMaxPieces = 6;

  struct Entry {  // one cache line
    std::int32_t ids[kMaxPieces];
    std::uint32_t owner = 0;  // 0: empty
    std::uint8_t ends[kMaxPieces];
    std::uint8_t size;
    std::uint8_t pieces;
    char word[kMaxBytes];
  };

  static std::size_t place_of(std::string_view word);
  static void store(Entry& entry, std::uint32_t owner, std::string_view word,
                    const std::vector<WordPiece>& pieces, std::size_t first);

  std::vector<Entry> entries_ = std::vector<Entry>(kEntries);
};

}  // namespace reflect
