// Byte-pair encoding of one word: merges by rank over bytes or characters.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "reflect/base/hash.h"

namespace reflect {

// What merging two neighbours gives; the lowest rank goes first, then the leftmost.
struct Merge {
  std::uint32_t rank;
  std::int32_t id;
};

// Pairs of ids to merges: open addressing, one cache line a look-up.
class MergeTable {
 public:
  void reserve(std::size_t pairs);
  void set(std::int32_t left, std::int32_t right, Merge merge);  // replaces
  const Merge* find(std::int32_t left, std::int32_t right) const;

 private:
  struct Slot {
    std::uint64_t pair = kEmpty;
    Merge merge = {};
  };
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};
  std::size_t slot_of(std::uint64_t pair) const;

  std::vector<Slot> slots_ = std::vector<Slot>(16);
  std::size_t used_ = 0;
};

// An id and where its part of the word ends; it begins where the one before ended.
struct WordPiece {
  std::int32_t id;
  std::uint32_t end;
};

class Bpe {
 public:
  struct Options {
    bool by_bytes = true;        // start from single bytes, else from characters
    bool ignore_merges = false;  // a word that is in the vocabulary is one token at once
    bool byte_fallback = false;  // an unknown character becomes its bytes' tokens
    bool fuse_unknown = false;   // neighbouring unknown characters become one unknown token
    std::optional<std::int32_t> unknown_id;  // without it unknown characters vanish
  };

  explicit Bpe(Options options);

  // `bytes`: the raw bytes that the token stands for in a word.
  void add_token(std::int32_t id, std::string_view bytes);
  void set_byte_fallback(unsigned char byte, std::int32_t id) { fallback_ids_[byte] = id; }
  MergeTable& merges() { return merges_; }
  std::optional<std::int32_t> id_of(std::string_view bytes) const;

  // Appends the pieces of `word` (valid UTF-8 unless by bytes). O(n log n) in its length. Safe to
  // call from several threads.
  void encode(std::string_view word, std::vector<WordPiece>& out) const;

 private:
  struct Symbol {
    std::int32_t id;
    std::uint32_t end;
    std::int32_t previous;
    std::int32_t next;  // -1: none
  };
  std::vector<Symbol> symbols_of(std::string_view word) const;
  std::int32_t id_of_unit(std::string_view unit) const;
  bool fall_back(std::string_view unit, std::uint32_t begin, std::vector<Symbol>& symbols) const;
  void merge_all(std::vector<Symbol>& symbols) const;

  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view bytes) const { return content_hash64(bytes); }
  };

  Options options_;
  std::unordered_map<std::string, std::int32_t, Hash, std::equal_to<>> ids_;
  std::int32_t byte_ids_[256];
  std::int32_t fallback_ids_[256];
  MergeTable merges_;
};

}  // namespace reflect
