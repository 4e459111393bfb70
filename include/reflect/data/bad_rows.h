// Malformed rows of an input, counted by reason and told the same way by every tool.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "reflect/data/record.h"

namespace reflect {

// The reason without file, line, numbers and details: "not a JSON object". Rows are counted by it.
std::string kind_of(const BadRow& row);

std::map<std::string, std::int64_t> counts_by_kind(const std::vector<BadRow>& rows);

// "4 not a JSON object, 1 no user message before the response": the most frequent first, six at
// most, the others as one count.
std::string list_of_counts(const std::map<std::string, std::int64_t>& counts);

// Malformed rows as they come; only the first three are remembered with their text.
class BadRowCounts {
 public:
  void add(const BadRow& row);
  std::int64_t total() const { return total_; }
  // summary_of without the path. Empty without rows.
  std::string summary() const;

 private:
  std::map<std::string, std::int64_t> by_kind_;
  std::vector<BadRow> first_;
  std::int64_t total_ = 0;
};

// One line for people: how many rows of `path` are left out, by reason, and the first three with
// their lines. Empty without bad rows.
std::string summary_of(const std::vector<BadRow>& rows, const std::string& path);

}  // namespace reflect
