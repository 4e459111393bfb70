// Reading and writing files: memory maps, atomic replacement, lines of plain or compressed text.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace reflect {

// The whole file as bytes. Throws Error with the path and the system's reason.
std::string read_file(const std::string& path);

// Replaces `path` by `bytes` as one step: temporary file, fsync, rename, fsync of the folder. The
// rules of AtomicWriter hold.
void write_file_atomic(const std::string& path, std::string_view bytes);

// Creates the folder and its parents; an existing folder is fine.
void make_folder(const std::string& path);

// A read-only map of a whole file.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::uint8_t* data() const { return data_; }
  std::size_t size() const { return size_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  const std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

// Writes a file that appears under its name only when `commit` has been called; without it the
// temporary is removed. ".gz" and ".zst" compress; "-" is standard output. A device or a pipe is
// written directly; behind a symbolic link the linked file is replaced. Write errors (a full disk)
// throw and leave what stood under the name before. A temporary that a killed process has left of
// the same file is removed.
class AtomicWriter {
 public:
  explicit AtomicWriter(const std::string& path);
  ~AtomicWriter();
  AtomicWriter(AtomicWriter&&) noexcept;
  void write(std::string_view bytes);
  void commit();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Reads lines from a file, "-" (standard input), ".gz" or ".zst"; the format is told by the first
// bytes, not by the name. A truncated compressed stream is an Error that names the byte. A byte
// order mark at the start is skipped.
class LineReader {
 public:
  explicit LineReader(const std::string& path);
  ~LineReader();
  // The next line without its end ("\n" or "\r\n"), or nothing at the end of the input. Valid until
  // the next call.
  std::optional<std::string_view> next();
  std::size_t line_number() const;  // of the line last returned, from 1
  const std::string& path() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace reflect
