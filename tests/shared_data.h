// Where the shared data sets are, for tests on real text.
#pragma once

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

namespace reflect {

// The folder of the shared data sets; nothing, and a line that says so, when it is not there.
inline std::optional<std::string> shared_data() {
  const char* given = std::getenv("REFLECT_SHARED");
  const std::string folder =
      std::string(given != nullptr ? given : REFLECT_SOURCE_DIR "/../shared") + "/data";
  if (std::filesystem::is_directory(folder)) return folder;
  WARN("skipped: no folder " << folder << "; set REFLECT_SHARED");
  return std::nullopt;
}

}  // namespace reflect
