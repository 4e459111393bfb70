#include "reflect/base/log.h"

#include <spdlog/spdlog.h>

namespace reflect {
namespace {

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      break;
  }
  return spdlog::level::err;
}

}  // namespace

void write_log(LogLevel level, fmt::string_view format, fmt::format_args args) {
  auto* logger = spdlog::default_logger_raw();
  const auto severity = spdlog_level(level);
  if (logger->should_log(severity)) logger->log(severity, fmt::vformat(format, args));
}

}  // namespace reflect
