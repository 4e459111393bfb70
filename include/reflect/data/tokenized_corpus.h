// Tokenized rows in one block of bytes, so that training reads them from a mapped file.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reflect/base/digest.h"
#include "reflect/base/file.h"
#include "reflect/data/batch.h"

namespace reflect {

// What is known of a row without reading its tokens.
struct RowEntry {
  std::uint64_t offset = 0;  // of its bytes in the block
  std::uint64_t line = 0;    // in the data file, from 1
  std::uint32_t tokens = 0;
  std::uint32_t runs = 0;                   // of tokens with the same span type and weight
  std::uint64_t id_bytes = 0;               // of the row's id
  Digest ids, weights;                      // of the values as they lie in memory
  double order_weight = 0, difficulty = 0;  // by which rows are drawn and sorted, where asked for
};

// Puts rows into the block that TokenizedFile reads. Order: a mark, the rows (ids, runs of span
// type and weight, row id), their entries, a JSON text of `key` and `account`, and a footer with
// the places of these and the XXH3-128 of all bytes before it. Numbers are in the machine's byte
// order.
class TokenizedFileWriter {
 public:
  using Sink = std::function<void(std::string_view)>;
  explicit TokenizedFileWriter(Sink sink);

  // `entry`: line, order_weight and difficulty; the rest is filled in.
  void add(const Example& example, RowEntry entry = {});
  // `key`: what the rows were made from and how; `account`: what else is known of them.
  void finish(const Json& key, const Json& account);

 private:
  void put(std::string_view bytes);

  Sink sink_;
  Hasher hasher_;
  std::uint64_t size_ = 0;
  std::vector<RowEntry> entries_;
};

// The rows of one data file.
class TokenizedFile {
 public:
  // Maps a file and reads all of it once. Throws Error with the reason where it is truncated,
  // damaged, of another version, or has another key.
  TokenizedFile(const std::string& path, const Json& key);
  explicit TokenizedFile(std::string bytes);  // what a writer has put into memory

  std::span<const RowEntry> entries() const { return entries_; }
  Example row(std::size_t index) const;
  const Json& account() const { return account_; }
  // Takes the mapped pages out of this process's memory; they stay in the page cache.
  void drop_pages() const;

 private:
  void read_ends(const std::string& name);
  void check_digest(const std::string& name) const;

  std::unique_ptr<MappedFile> map_;
  std::string memory_;      // where nothing is mapped
  std::string_view bytes_;  // of either
  std::span<const RowEntry> entries_;
  Json key_, account_;
};

// The rows of files behind each other, numbered from 0. Copies share them.
class TokenizedCorpus {
 public:
  TokenizedCorpus() = default;
  TokenizedCorpus(const std::vector<Example>& examples);  // in memory

  void append(std::shared_ptr<const TokenizedFile> file);
  std::size_t size() const { return begins_.back(); }
  bool empty() const { return size() == 0; }
  Example operator[](std::size_t row) const;
  const RowEntry& entry(std::size_t row) const;
  std::size_t file_of(std::size_t row) const;  // its index in the order of `append`
  void drop_pages() const;

 private:
  std::vector<std::shared_ptr<const TokenizedFile>> files_;
  std::vector<std::size_t> begins_ = {0};  // first row of each file, then the number of rows
};

}  // namespace reflect
