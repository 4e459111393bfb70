// An output file that appears under its name when the run ends, and until then may grow over
// several runs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "reflect/base/file.h"

namespace reflect {

// A plain file that stays where it is when the process ends, whatever ends it.
class GrowingFile {
 public:
  // Goes on behind the first `keep` bytes; what else is there is cut off. Error where there are
  // fewer, or the file cannot be written.
  GrowingFile(const std::string& path, std::int64_t keep);
  ~GrowingFile();
  GrowingFile(GrowingFile&& other) noexcept;
  GrowingFile& operator=(GrowingFile&&) = delete;

  void write(std::string_view bytes);
  // Puts all that was written on the disk; returns the file's size.
  std::int64_t sync();
  const std::string& path() const { return path_; }

 private:
  void hand_over();

  std::string path_;
  int fd_ = -1;
  std::int64_t size_ = 0;  // of what was handed to the system
  std::string pending_;
};

class RowsFile {
 public:
  // As AtomicWriter.
  explicit RowsFile(const std::string& path) : path_(path), direct_(path) {}
  // Grows at `part`, from `keep` bytes on.
  RowsFile(const std::string& path, const std::string& part, std::int64_t keep)
      : path_(path), part_(GrowingFile(part, keep)) {}

  void write(std::string_view bytes);
  // Of a file that grows: see GrowingFile.
  std::int64_t sync() { return part_->sync(); }
  // The file stands under its name. One that grows stays where it is too: call discard() for an end
  // that no run will go on from.
  void commit();
  void discard();

 private:
  std::string path_;
  std::optional<AtomicWriter> direct_;
  std::optional<GrowingFile> part_;
};

}  // namespace reflect
