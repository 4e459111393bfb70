#include "data/word_cache.h"

#include <cstring>

#include "reflect/base/hash.h"

namespace reflect {

WordCache& WordCache::of_this_thread() {
  thread_local WordCache cache;
  return cache;
}

std::size_t WordCache::place_of(std::string_view word) {
  return content_hash64(word) % kEntries;
}

void WordCache::store(Entry& entry, std::uint32_t owner, std::string_view word,
                      const std::vector<WordPiece>& pieces, std::size_t first) {
  entry.owner = owner;
  entry.size = static_cast<std::uint8_t>(word.size());
  std::memcpy(entry.word, word.data(), word.size());
  entry.pieces = static_cast<std::uint8_t>(pieces.size() - first);
  for (std::size_t i = 0; i < entry.pieces; ++i) {
    entry.ids[i] = pieces[first + i].id;
    entry.ends[i] = static_cast<std::uint8_t>(pieces[first + i].end);
  }
}

}  // namespace reflect
