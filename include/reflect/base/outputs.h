// What a tool checks of the files that it will write and of the folders that it reads, before any
// work.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace reflect {

struct NamedPath {
  std::string flag;  // without dashes
  std::string path;  // empty, or "-" for a standard stream: not looked at
};

// Throws Error (usage) where an output is one of the inputs or another output, by whatever name, or
// where its folder does not exist. `op` names the tool's part.
void check_outputs(std::string_view op, const std::vector<NamedPath>& outputs,
                   const std::vector<NamedPath>& inputs);

// Throws Error (usage) where the folder that --`flag` names has no config.json.
void require_checkpoint(std::string_view op, std::string_view flag, const std::string& folder);

}  // namespace reflect
