// Near duplicates among a run's accepted rows.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "recipes/task.h"
#include "reflect/data/minhash.h"
#include "reflect/recipes/recipe.h"

namespace reflect {

class DistinctRows {
 public:
  explicit DistinctRows(const Recipe& recipe);

  // Rejects an accepted row ("near_duplicate") one of whose texts (DistinctStep) is nearly that of
  // an earlier row that stayed; else keeps it for those to come. To be called in the rows' final
  // order, so that what stays depends on nothing else.
  void judge(TraceRow& row);
  // Whether any step asks for it.
  bool used() const { return !kept_.empty(); }

 private:
  struct Kept {
    NearDuplicateFilter texts;
    std::vector<std::uint64_t> places;  // of their problems in the source
  };
  std::map<std::size_t, Kept> kept_;  // by step
};

}  // namespace reflect
