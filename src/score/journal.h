// The finished batches of a run, on disk: what a killed run need not compute again.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "reflect/data/record.h"

namespace reflect {

// One line a batch: its key (a hash of all that its scores depend on), a hash of key and rows, its
// rows as a JSON array, with spaces between. Opening it cuts off a line that was not finished and
// checks all others; one that does not fit its hash is an Error that names line and byte. Holds a
// lock, so that two runs cannot write the same output.
class Journal {
 public:
  explicit Journal(std::string path);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  bool contains(const std::string& key) const { return offsets_.contains(key); }
  std::size_t batches() const { return offsets_.size(); }
  std::vector<std::string> keys() const;
  std::vector<Json> rows(const std::string& key) const;  // of a batch that it contains
  void append(const std::string& key, const std::vector<Json>& rows);  // on disk when it returns
  void remove();

 private:
  void load();

  std::string path_;
  int file_ = -1;
  std::size_t size_ = 0;
  struct Line {
    std::size_t begin, size;  // of the rows' bytes in the file
  };
  std::unordered_map<std::string, Line> offsets_;
};

}  // namespace reflect
