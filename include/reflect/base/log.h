// Log lines to standard error. Formatted in one place: spdlog's own calls compile the whole of fmt
// into each source that logs.
#pragma once

#include <fmt/core.h>

namespace reflect {

enum class LogLevel { kDebug, kInfo, kWarn, kError };

// Writes one line to the logger that the tool set up (App); not formatted where its level is off.
void write_log(LogLevel level, fmt::string_view format, fmt::format_args args);

template <class... Args>
void log_debug(fmt::format_string<Args...> format, Args&&... args) {
  write_log(LogLevel::kDebug, format, fmt::make_format_args(args...));
}

template <class... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  write_log(LogLevel::kInfo, format, fmt::make_format_args(args...));
}

template <class... Args>
void log_warn(fmt::format_string<Args...> format, Args&&... args) {
  write_log(LogLevel::kWarn, format, fmt::make_format_args(args...));
}

template <class... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  write_log(LogLevel::kError, format, fmt::make_format_args(args...));
}

}  // namespace reflect
