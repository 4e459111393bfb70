#include "data/bpe.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <queue>
#include <utility>

#include "data/utf8.h"

namespace reflect {
namespace {

constexpr std::int32_t kNone = -1;

std::uint64_t pair_of(std::int32_t left, std::int32_t right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
         static_cast<std::uint32_t>(right);
}

}  // namespace

void MergeTable::reserve(std::size_t pairs) {
  const std::size_t wanted = std::bit_ceil(std::max<std::size_t>(16, pairs * 2));
  if (wanted <= slots_.size()) return;
  const std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(wanted));
  for (const Slot& slot : old) {
    if (slot.pair != kEmpty) slots_[slot_of(slot.pair)] = slot;
  }
}

std::size_t MergeTable::slot_of(std::uint64_t pair) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = (pair * 0x9E3779B97F4A7C15u >> 32) & mask;
  while (slots_[at].pair != pair && slots_[at].pair != kEmpty) at = (at + 1) & mask;
  return at;
}

void MergeTable::set(std::int32_t left, std::int32_t right, Merge merge) {
  reserve(used_ + 1);
  Slot& slot = slots_[slot_of(pair_of(left, right))];
  if (slot.pair == kEmpty) ++used_;
  slot = {pair_of(left, right), merge};
}

const Merge* MergeTable::find(std::int32_t left, std::int32_t right) const {
  const Slot& slot = slots_[slot_of(pair_of(left, right))];
  return slot.pair == kEmpty ? nullptr : &slot.merge;
}

Bpe::Bpe(Options options) : options_(options) {
  std::fill(std::begin(byte_ids_), std::end(byte_ids_), kNone);
  std::fill(std::begin(fallback_ids_), std::end(fallback_ids_), kNone);
}

void Bpe::add_token(std::int32_t id, std::string_view bytes) {
  ids_.emplace(bytes, id);
  if (bytes.size() == 1) byte_ids_[static_cast<unsigned char>(bytes[0])] = id;
}

std::optional<std::int32_t> Bpe::id_of(std::string_view bytes) const {
  const auto found = ids_.find(bytes);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

std::int32_t Bpe::id_of_unit(std::string_view unit) const {
  if (unit.size() == 1) return byte_ids_[static_cast<unsigned char>(unit[0])];
  return id_of(unit).value_or(kNone);
}

bool Bpe::fall_back(std::string_view unit, std::uint32_t begin,
                    std::vector<Symbol>& symbols) const {
  const auto token_of = [&](char c) { return fallback_ids_[static_cast<unsigned char>(c)]; };
  if (!options_.byte_fallback ||
      std::any_of(unit.begin(), unit.end(), [&](char c) { return token_of(c) == kNone; }))
    return false;
  for (const char c : unit) symbols.push_back({token_of(c), ++begin, 0, 0});
  return true;
}

std::vector<Bpe::Symbol> Bpe::symbols_of(std::string_view word) const {
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  bool last_is_unknown = false;
  for (std::size_t at = 0; at < word.size();) {
    const std::size_t length = options_.by_bytes ? 1 : first_character(word.substr(at)).length;
    const std::string_view unit = word.substr(at, length);
    const std::int32_t id = id_of_unit(unit);
    const auto begin = static_cast<std::uint32_t>(at);
    const auto end = static_cast<std::uint32_t>(at + length);
    at += length;
    if (id != kNone) {
      symbols.push_back({id, end, 0, 0});
      last_is_unknown = false;
    } else if (fall_back(unit, begin, symbols)) {
      last_is_unknown = false;
    } else if (options_.unknown_id) {
      if (last_is_unknown && options_.fuse_unknown) {
        symbols.back().end = end;
      } else {
        symbols.push_back({*options_.unknown_id, end, 0, 0});
      }
      last_is_unknown = true;
    }
  }
  return symbols;
}

void Bpe::merge_all(std::vector<Symbol>& symbols) const {
  const auto count = static_cast<std::int32_t>(symbols.size());
  for (std::int32_t i = 0; i < count; ++i) {
    symbols[i].previous = i - 1;
    symbols[i].next = i + 1 < count ? i + 1 : kNone;
  }
  // rank << 32 | index of the left symbol; stale entries are found out when they come up.
  std::priority_queue<std::uint64_t, std::vector<std::uint64_t>, std::greater<>> candidates;
  const auto merge_at = [&](std::int32_t left) -> const Merge* {
    if (left == kNone || symbols[left].id == kNone || symbols[left].next == kNone) return nullptr;
    return merges_.find(symbols[left].id, symbols[symbols[left].next].id);
  };
  const auto offer = [&](std::int32_t left) {
    if (const Merge* merge = merge_at(left))
      candidates.push(std::uint64_t{merge->rank} << 32 | static_cast<std::uint32_t>(left));
  };
  for (std::int32_t i = 0; i + 1 < count; ++i) offer(i);
  while (!candidates.empty()) {
    const std::uint64_t best = candidates.top();
    candidates.pop();
    const auto left = static_cast<std::int32_t>(best & 0xFFFFFFFFu);
    const Merge* merge = merge_at(left);
    if (merge == nullptr || merge->rank != best >> 32) continue;
    Symbol& right = symbols[symbols[left].next];
    symbols[left].id = merge->id;
    symbols[left].end = right.end;
    symbols[left].next = right.next;
    right.id = kNone;
    if (right.next != kNone) symbols[right.next].previous = left;
    offer(symbols[left].previous);
    offer(left);
  }
}

void Bpe::encode(std::string_view word, std::vector<WordPiece>& out) const {
  if (options_.ignore_merges) {
    if (const auto id = id_of(word)) {
      out.push_back({*id, static_cast<std::uint32_t>(word.size())});
      return;
    }
  }
  std::vector<Symbol> symbols = symbols_of(word);
  merge_all(symbols);
  for (const Symbol& symbol : symbols) {
    if (symbol.id != kNone) out.push_back({symbol.id, symbol.end});
  }
}

}  // namespace reflect
