#include "recipes/teacher_table.h"

#include <algorithm>
#include <set>

#include "reflect/base/error.h"

namespace reflect {

TeacherTable::TeacherTable(std::vector<TeacherConfig> configs) : configs_(std::move(configs)) {
  std::set<std::string> names;
  for (const TeacherConfig& config : configs_) {
    if (!names.insert(config.name).second) {
      fail_usage("teachers", "two teachers have the name \"{}\"", config.name);
    }
  }
}

std::size_t TeacherTable::find(const std::string& name, const std::string& place) const {
  for (const std::string& wanted : {name, std::string()}) {
    const auto found = std::ranges::find(configs_, wanted, &TeacherConfig::name);
    if (found != configs_.end()) return static_cast<std::size_t>(found - configs_.begin());
  }
  if (configs_.size() == 1) return 0;
  std::vector<std::string> names;
  for (const TeacherConfig& config : configs_) names.push_back(config.name);
  fail_usage("teachers", "{}: there is no teacher \"{}\", and none without a name; there are {}",
             place, name, fmt::join(names, ", "));
}

bool TeacherTable::any_asked() const {
  return std::ranges::any_of(configs_, is_asked);
}

}  // namespace reflect
