#include "reflect/base/outputs.h"

#include <filesystem>
#include <system_error>

#include "reflect/base/error.h"

namespace reflect {
namespace {

namespace fs = std::filesystem;

bool is_file(const NamedPath& named) {
  return !named.path.empty() && named.path != "-";
}

// Whether two names lead to one regular file, which need not exist.
bool same_file(const std::string& a, const std::string& b) {
  std::error_code none;
  if (fs::exists(a, none) && fs::exists(b, none))
    return fs::equivalent(a, b, none) && fs::is_regular_file(a, none);
  return fs::weakly_canonical(a, none) == fs::weakly_canonical(b, none);
}

}  // namespace

void check_outputs(std::string_view op, const std::vector<NamedPath>& outputs,
                   const std::vector<NamedPath>& inputs) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const NamedPath& output = outputs[i];
    if (!is_file(output)) continue;
    const auto require_apart = [&](const NamedPath& other) {
      if (is_file(other) && same_file(output.path, other.path))
        fail_usage(op, "--{} {} would replace the file of --{}; choose another name", output.flag,
                   output.path, other.flag);
    };
    for (const NamedPath& input : inputs) require_apart(input);
    for (std::size_t j = 0; j < i; ++j) require_apart(outputs[j]);
    const fs::path folder = fs::absolute(output.path).parent_path();
    if (!fs::is_directory(folder))
      fail_usage(op, "--{} {}: there is no folder {}; make it first", output.flag, output.path,
                 folder.string());
  }
}

void require_checkpoint(std::string_view op, std::string_view flag, const std::string& folder) {
  std::error_code none;
  if (!fs::exists(fs::path(folder) / "config.json", none))
    fail_usage(op, "--{}: \"{}\" has no config.json; give the folder of a checkpoint", flag,
               folder);
}

}  // namespace reflect
