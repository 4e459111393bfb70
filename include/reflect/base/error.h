// The one exception type of the project and the exit codes of its tools.
#pragma once

#include <fmt/ranges.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace reflect {

// What a tool's process returns; a signal N gives 128 + N.
enum class ExitCode : int {
  kDone = 0,
  kFailed = 1,
  kUsage = 2,       // a flag or a configuration file is wrong
  kIncomplete = 3,  // done, but a budget or a limit ended it early
};

// A failure that ends the operation. The text reads "[op] what, with values; remedy".
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& what, ExitCode exit_code = ExitCode::kFailed)
      : std::runtime_error(what), exit_code_(exit_code) {}
  ExitCode exit_code() const { return exit_code_; }

 private:
  ExitCode exit_code_;
};

// Throws Error("[op] <formatted>").
template <class... Args>
[[noreturn]] void fail(std::string_view op, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format("[{}] ", op) + fmt::format(format, std::forward<Args>(args)...));
}

// The same for a mistake in flags or configuration (exit code 2).
template <class... Args>
[[noreturn]] void fail_usage(std::string_view op, fmt::format_string<Args...> format,
                             Args&&... args) {
  throw Error(fmt::format("[{}] ", op) + fmt::format(format, std::forward<Args>(args)...),
              ExitCode::kUsage);
}

}  // namespace reflect
