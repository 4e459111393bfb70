#include "reflect/data/minhash.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "reflect/base/error.h"
#include "reflect/base/hash.h"
#include "reflect/base/random.h"

namespace reflect {
namespace {

constexpr std::uint32_t kNoEntry = ~std::uint32_t{0};

// Whether sets of these sizes can be that similar at all.
bool sizes_allow(std::size_t a, std::size_t b, double threshold) {
  return static_cast<double>(std::min(a, b)) >= threshold * static_cast<double>(std::max(a, b));
}

// Kept texts by the key of each band: chains through `next_` behind 2^bits heads a band.
class BandTable {
 public:
  BandTable(std::size_t bands, std::size_t texts)
      : shift_(32 - std::clamp<int>(std::bit_width(texts), 1, 31)),
        heads_(std::size_t{1} << (32 - shift_)),
        texts_(texts),
        head_(bands * heads_, kNoEntry),
        next_(bands * texts) {}

  std::uint32_t first(std::size_t band, std::uint32_t key) const {
    return head_[band * heads_ + (key >> shift_)];
  }
  std::uint32_t after(std::size_t band, std::uint32_t text) const {
    return next_[band * texts_ + text];
  }
  void add(std::size_t band, std::uint32_t key, std::uint32_t text) {
    std::uint32_t& head = head_[band * heads_ + (key >> shift_)];
    next_[band * texts_ + text] = head;
    head = text;
  }

 private:
  int shift_;
  std::size_t heads_, texts_;
  std::vector<std::uint32_t> head_, next_;
};

}  // namespace

ShingleSet shingles(const Words& words, std::size_t n) {
  ShingleSet set;
  if (words.size() == 0) return set;
  const std::vector<std::uint64_t> hashes = words.gram_hashes(std::min(n, words.size()));
  set.reserve(hashes.size());
  for (const std::uint64_t hash : hashes) set.push_back(static_cast<std::uint32_t>(hash));
  std::sort(set.begin(), set.end());
  set.erase(std::unique(set.begin(), set.end()), set.end());
  return set;
}

double jaccard(const ShingleSet& a, const ShingleSet& b) {
  std::size_t shared = 0;
  for (std::size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    const std::uint32_t x = a[i], y = b[j];
    shared += x == y;
    i += x <= y;
    j += y <= x;
  }
  const std::size_t all = a.size() + b.size() - shared;
  return all == 0 ? 0 : static_cast<double>(shared) / static_cast<double>(all);
}

MinHash::MinHash(std::uint64_t seed) {
  for (std::size_t i = 0; i < kMinHashes; ++i) {
    Random random(seed, "minhash", {i});
    multiply_[i] = static_cast<std::uint32_t>(random.bits()) | 1;
    add_[i] = static_cast<std::uint32_t>(random.bits());
  }
}

Signature MinHash::signature(const ShingleSet& set) const {
  Signature least;
  least.fill(kNoEntry);
  for (const std::uint32_t element : set)
    for (std::size_t i = 0; i < kMinHashes; ++i)
      least[i] = std::min(least[i], element * multiply_[i] + add_[i]);
  return least;
}

double estimated_jaccard(const Signature& a, const Signature& b) {
  std::size_t equal = 0;
  for (std::size_t i = 0; i < kMinHashes; ++i) equal += a[i] == b[i];
  return static_cast<double>(equal) / static_cast<double>(kMinHashes);
}

double LshBands::recall(double similarity) const {
  const double agree = std::pow(similarity, static_cast<double>(rows));
  return 1 - std::pow(1 - agree, static_cast<double>(bands));
}

LshBands lsh_bands(double similarity, double recall) {
  for (std::size_t rows = 16; rows > 1; --rows) {
    const LshBands bands{kMinHashes / rows, rows};
    if (bands.recall(similarity) >= recall) return bands;
  }
  return {kMinHashes, 1};
}

namespace {

void check(const NearDuplicateConfig& config) {
  if (config.shingle_words < 1 || !(config.lowest_threshold > 0 && config.lowest_threshold <= 1))
    fail_usage("minhash",
               "shingles of {} words and a threshold of {} mean nothing; use 1 word or more and a "
               "threshold above 0, at most 1",
               config.shingle_words, config.lowest_threshold);
}

// A hash of each band of the signature.
void append_keys(const Signature& signature, const LshBands& bands,
                 std::vector<std::uint32_t>& keys) {
  for (std::size_t band = 0; band < bands.bands; ++band) {
    const auto* begin = reinterpret_cast<const char*>(&signature[band * bands.rows]);
    keys.push_back(static_cast<std::uint32_t>(
        content_hash64({begin, bands.rows * sizeof(std::uint32_t)}) >> 32));
  }
}

}  // namespace

class NearDuplicateFilter::Table : public BandTable {
 public:
  Table(std::size_t bands, std::size_t texts) : BandTable(bands, texts), capacity(texts) {}
  std::size_t capacity;
};

NearDuplicateFilter::NearDuplicateFilter(const NearDuplicateConfig& config)
    : config_(config),
      hash_(config.seed),
      bands_(lsh_bands(config.lowest_threshold, config.recall)) {
  check(config);
}

NearDuplicateFilter::~NearDuplicateFilter() = default;
NearDuplicateFilter::NearDuplicateFilter(NearDuplicateFilter&&) noexcept = default;

NearDuplicateFilter::Text NearDuplicateFilter::read(const Words& words) const {
  Text text;
  text.set = shingles(words, config_.shingle_words);
  append_keys(hash_.signature(text.set), bands_, text.keys);
  return text;
}

std::optional<NearDuplicateFilter::Match> NearDuplicateFilter::find(const Text& text) const {
  if (!table_ || text.set.empty()) return std::nullopt;
  for (std::size_t band = 0; band < bands_.bands; ++band) {
    const std::uint32_t key = text.keys[band];
    for (std::uint32_t other = table_->first(band, key); other != kNoEntry;
         other = table_->after(band, other)) {
      if (keys_[other * bands_.bands + band] != key) continue;
      if (!sizes_allow(text.set.size(), sets_[other].size(), config_.lowest_threshold)) continue;
      const double similarity = jaccard(text.set, sets_[other]);
      if (similarity >= config_.lowest_threshold) return Match{other, similarity};
    }
  }
  return std::nullopt;
}

void NearDuplicateFilter::keep(Text text) {
  constexpr std::size_t kFirstCapacity = 1024;
  const auto enter = [this](std::size_t number) {
    if (sets_[number].empty()) return;
    for (std::size_t band = 0; band < bands_.bands; ++band) {
      table_->add(band, keys_[number * bands_.bands + band], static_cast<std::uint32_t>(number));
    }
  };
  sets_.push_back(std::move(text.set));
  keys_.insert(keys_.end(), text.keys.begin(), text.keys.end());
  if (table_ && sets_.size() <= table_->capacity) return enter(sets_.size() - 1);
  const std::size_t capacity = table_ ? 2 * table_->capacity : kFirstCapacity;
  table_.reset();
  table_ = std::make_unique<Table>(bands_.bands, capacity);
  for (std::size_t number = 0; number < sets_.size(); ++number) enter(number);
}

NearDuplicates::NearDuplicates(const NearDuplicateConfig& config)
    : config_(config),
      hash_(config.seed),
      bands_(lsh_bands(config.lowest_threshold, config.recall)) {
  check(config);
}

void NearDuplicates::add(const Words& words) {
  sets_.push_back(shingles(words, config_.shingle_words));
  append_keys(hash_.signature(sets_.back()), bands_, keys_);
}

std::vector<std::optional<NearDuplicates::Match>> NearDuplicates::find(
    const std::vector<std::size_t>& among, double threshold) const {
  std::vector<std::optional<Match>> matches(among.size());
  BandTable table(bands_.bands, among.size());
  std::vector<std::uint32_t> seen(among.size(), kNoEntry);  // the last text that looked at each
  const auto match_of = [&](std::size_t at) -> std::optional<Match> {
    const ShingleSet& set = sets_[among[at]];
    const std::uint32_t* keys = &keys_[among[at] * bands_.bands];
    for (std::size_t band = 0; band < bands_.bands; ++band) {
      for (std::uint32_t other = table.first(band, keys[band]); other != kNoEntry;
           other = table.after(band, other)) {
        const std::size_t text = among[other];
        if (seen[other] == at || keys_[text * bands_.bands + band] != keys[band]) continue;
        seen[other] = static_cast<std::uint32_t>(at);
        if (!sizes_allow(set.size(), sets_[text].size(), threshold)) continue;
        const double similarity = jaccard(set, sets_[text]);
        if (similarity >= threshold) return Match{text, similarity};
      }
    }
    return std::nullopt;
  };
  for (std::size_t at = 0; at < among.size(); ++at) {
    if (sets_[among[at]].empty()) continue;
    matches[at] = match_of(at);
    if (matches[at]) continue;
    for (std::size_t band = 0; band < bands_.bands; ++band)
      table.add(band, keys_[among[at] * bands_.bands + band], static_cast<std::uint32_t>(at));
  }
  return matches;
}

}  // namespace reflect
