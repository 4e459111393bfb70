// The teachers of a run by the names that a recipe's steps call them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "reflect/recipes/teacher.h"

namespace reflect {

class TeacherTable {
 public:
  // One recorded teacher that is never asked.
  TeacherTable() : configs_(1) {}
  // Error (usage) for two of one name.
  explicit TeacherTable(std::vector<TeacherConfig> configs);

  const std::vector<TeacherConfig>& configs() const { return configs_; }
  // The index of the teacher with this name, else of the one without a name, else of the only one.
  // Error (usage) that lists the names where there is none of these; `place` starts its text.
  std::size_t find(const std::string& name, const std::string& place) const;
  bool any_asked() const;

 private:
  std::vector<TeacherConfig> configs_;
};

}  // namespace reflect
