#include "reflect/base/folder_state.h"

#include <fmt/ranges.h>

#include <filesystem>
#include <set>

#include "reflect/base/error.h"
#include "reflect/base/hash.h"

namespace reflect {

namespace fs = std::filesystem;

std::string folder_state(const std::string& folder, std::string_view ending) {
  std::set<std::string> files;
  try {
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (entry.is_regular_file() && name.ends_with(ending))
        files.insert(fmt::format("{} {} {}", name, entry.file_size(),
                                 entry.last_write_time().time_since_epoch().count()));
    }
  } catch (const fs::filesystem_error& error) {
    fail("file", "{}: {}", folder, error.code().message());
  }
  return content_hash(fmt::format("{}", fmt::join(files, "\n")));
}

}  // namespace reflect
