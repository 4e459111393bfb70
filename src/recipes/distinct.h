// Near duplicates among a run's accepted rows.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "recipes/rows_file.h"
#include "recipes/task.h"
#include "reflect/data/minhash.h"
#include "reflect/recipes/recipe.h"

namespace reflect {

class DistinctRows {
 public:
  explicit DistinctRows(const Recipe& recipe);
  // The same over several runs: what is kept of rows that stay grows at `path`, and those in its
  // first `bytes` bytes have stayed already. Error where less or something else is there. A recipe
  // without the step has no file.
  DistinctRows(const Recipe& recipe, const std::string& path, std::int64_t bytes);

  // Rejects an accepted row ("near_duplicate") one of whose texts (DistinctStep) is nearly that of
  // an earlier row that stayed; else keeps it for those to come. To be called in the rows' final
  // order, so that what stays depends on nothing else.
  void judge(TraceRow& row);
  // Puts what was kept on the disk; returns the file's size.
  std::int64_t sync();
  // For an end that no run will go on from.
  void discard();

 private:
  struct Kept {
    NearDuplicateFilter texts;
    std::vector<std::uint64_t> places;  // of their problems in the source
  };
  void read(const std::string& path);
  void write(std::size_t step, std::uint64_t place, const NearDuplicateFilter::Text& text);

  std::map<std::size_t, Kept> kept_;  // by step
  std::optional<GrowingFile> file_;
};

}  // namespace reflect
