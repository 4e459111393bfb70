#include "reflect/data/tokenized_corpus.h"

#include <algorithm>
#include <cstring>

#include "reflect/base/error.h"
#include "reflect/base/mapped_pages.h"

namespace reflect {
namespace {

constexpr std::string_view kMark = "rflTok01";  // with the version
constexpr std::size_t kHashedAtOnce = 1 << 20;

// Consecutive tokens with the same span type and weight.
struct TokenRun {
  std::uint32_t tokens;
  float weight;
  std::int32_t span_type;
};

struct Footer {
  std::uint64_t entries_at, rows, text_at, text_size;
  char mark[8];
  Digest digest;  // of all bytes before it
};

template <class Value>
std::string_view bytes_of_values(const Value* values, std::size_t count) {
  return {reinterpret_cast<const char*>(values), count * sizeof(Value)};
}

template <class Value>
std::string_view bytes_of_values(const std::vector<Value>& values) {
  return bytes_of_values(values.data(), values.size());
}

std::vector<TokenRun> runs_of(const Example& example) {
  std::vector<TokenRun> runs;
  for (std::size_t i = 0; i < example.size(); ++i) {
    const TokenRun run{1, example.weight[i], example.span_type[i]};
    if (!runs.empty() && runs.back().weight == run.weight &&
        runs.back().span_type == run.span_type) {
      ++runs.back().tokens;
    } else {
      runs.push_back(run);
    }
  }
  return runs;
}

// Copies `count` values from the front of `bytes` and takes them off.
template <class Value>
std::vector<Value> take_values(std::string_view& bytes, std::size_t count) {
  if (count > bytes.size() / sizeof(Value)) fail("tokens", "a row reaches beyond the block's end");
  std::vector<Value> values(count);
  if (count > 0) std::memcpy(values.data(), bytes.data(), count * sizeof(Value));
  bytes.remove_prefix(count * sizeof(Value));
  return values;
}

std::string text_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Where two keys differ, for people.
std::string difference_of(const Json& found, const Json& wanted) {
  for (const auto& [name, value] : wanted.items())
    if (!found.contains(name) || found[name] != value)
      return fmt::format("{} is {}, not {}", name,
                         found.contains(name) ? text_of(found[name]) : "missing", text_of(value));
  return "it has more settings";
}

}  // namespace

TokenizedFileWriter::TokenizedFileWriter(Sink sink) : sink_(std::move(sink)) {
  put(kMark);
}

void TokenizedFileWriter::put(std::string_view bytes) {
  sink_(bytes);
  hasher_.add(bytes);
  size_ += bytes.size();
}

void TokenizedFileWriter::add(const Example& example, RowEntry entry) {
  const std::vector<TokenRun> runs = runs_of(example);
  entry.offset = size_;
  entry.tokens = static_cast<std::uint32_t>(example.size());
  entry.runs = static_cast<std::uint32_t>(runs.size());
  entry.id_bytes = example.row_id.size();
  entry.ids = digest_of(bytes_of_values(example.input_ids));
  entry.weights = digest_of(bytes_of_values(example.weight));
  put(bytes_of_values(example.input_ids));
  put(bytes_of_values(runs));
  put(example.row_id);
  entries_.push_back(entry);
}

void TokenizedFileWriter::finish(const Json& key, const Json& account) {
  put(std::string(-size_ % alignof(RowEntry), '\0'));
  const std::string text = text_of({{"key", key}, {"account", account}});
  Footer footer{size_, entries_.size(), size_ + entries_.size() * sizeof(RowEntry), text.size(), {},
                {}};
  std::ranges::copy(kMark, footer.mark);
  put(bytes_of_values(entries_));
  put(text);
  const std::string_view bytes = bytes_of_values(&footer, 1);
  put(bytes.substr(0, offsetof(Footer, digest)));
  footer.digest = hasher_.digest();
  put(bytes.substr(offsetof(Footer, digest)));
}

TokenizedFile::TokenizedFile(const std::string& path, const Json& key)
    : map_(std::make_unique<MappedFile>(path)),
      bytes_(reinterpret_cast<const char*>(map_->data()), map_->size()) {
  read_ends(path);
  check_digest(path);
  if (key_ != key)
    fail("tokens", "{} was made for other rows or settings: {}", path, difference_of(key_, key));
}

TokenizedFile::TokenizedFile(std::string bytes) : memory_(std::move(bytes)), bytes_(memory_) {
  read_ends("memory");
}

void TokenizedFile::read_ends(const std::string& name) {
  Footer footer;
  const std::size_t least = kMark.size() + sizeof footer;
  const bool marked = bytes_.starts_with(kMark.substr(0, std::min(kMark.size(), bytes_.size())));
  if (bytes_.size() < least || !marked)
    fail("tokens", "{} is {}", name, marked ? "truncated" : "no file of this version");
  const std::size_t end = bytes_.size() - sizeof footer;
  std::memcpy(&footer, bytes_.data() + end, sizeof footer);
  const bool whole = std::ranges::equal(kMark, footer.mark) && footer.text_at <= end &&
                     footer.text_size == end - footer.text_at &&
                     footer.entries_at % alignof(RowEntry) == 0 &&
                     footer.entries_at <= footer.text_at &&
                     footer.text_at - footer.entries_at == footer.rows * sizeof(RowEntry);
  if (!whole) fail("tokens", "{} is truncated or damaged at its end", name);
  entries_ = {reinterpret_cast<const RowEntry*>(bytes_.data() + footer.entries_at),
              static_cast<std::size_t>(footer.rows)};
  const Json text = Json::parse(bytes_.substr(footer.text_at, footer.text_size), nullptr, false);
  if (!text.is_object() || !text.contains("key") || !text.contains("account"))
    fail("tokens", "{} is damaged: its key cannot be read", name);
  key_ = text["key"];
  account_ = text["account"];
}

void TokenizedFile::check_digest(const std::string& name) const {
  const std::string_view hashed = bytes_.substr(0, bytes_.size() - sizeof(Digest));
  Hasher hasher;
  for (std::size_t at = 0; at < hashed.size(); at += kHashedAtOnce) {
    const std::string_view piece = hashed.substr(at, kHashedAtOnce);
    hasher.add(piece);
    drop_mapped_pages(piece.data(), piece.size());
  }
  Digest written;
  std::memcpy(&written, bytes_.data() + hashed.size(), sizeof written);
  if (hasher.digest() != written) fail("tokens", "{} is damaged: its checksum is wrong", name);
}

Example TokenizedFile::row(std::size_t index) const {
  const RowEntry& entry = entries_[index];
  std::string_view bytes = bytes_.substr(std::min<std::size_t>(entry.offset, bytes_.size()));
  Example example;
  example.input_ids = take_values<std::int32_t>(bytes, entry.tokens);
  for (const TokenRun& run : take_values<TokenRun>(bytes, entry.runs)) {
    example.span_type.insert(example.span_type.end(), run.tokens,
                             static_cast<std::int8_t>(run.span_type));
    example.weight.insert(example.weight.end(), run.tokens, run.weight);
  }
  example.row_id = bytes.substr(0, entry.id_bytes);
  return example;
}

void TokenizedFile::drop_pages() const {
  if (map_) drop_mapped_pages(bytes_.data(), bytes_.size());
}

TokenizedCorpus::TokenizedCorpus(const std::vector<Example>& examples) {
  std::string bytes;
  TokenizedFileWriter writer([&bytes](std::string_view piece) { bytes += piece; });
  for (const Example& example : examples) writer.add(example);
  writer.finish(nullptr, nullptr);
  append(std::make_shared<TokenizedFile>(std::move(bytes)));
}

void TokenizedCorpus::append(std::shared_ptr<const TokenizedFile> file) {
  begins_.push_back(begins_.back() + file->entries().size());
  files_.push_back(std::move(file));
}

std::size_t TokenizedCorpus::file_of(std::size_t row) const {
  if (row >= size()) fail("tokens", "there is no row {} among {}", row, size());
  const auto after = std::ranges::upper_bound(begins_, row);
  return static_cast<std::size_t>(after - begins_.begin()) - 1;
}

Example TokenizedCorpus::operator[](std::size_t row) const {
  const std::size_t file = file_of(row);
  return files_[file]->row(row - begins_[file]);
}

const RowEntry& TokenizedCorpus::entry(std::size_t row) const {
  const std::size_t file = file_of(row);
  return files_[file]->entries()[row - begins_[file]];
}

void TokenizedCorpus::drop_pages() const {
  for (const auto& file : files_) file->drop_pages();
}

}  // namespace reflect
