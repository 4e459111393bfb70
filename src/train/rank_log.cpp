#include "rank_log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>

#include "reflect/base/error.h"

namespace reflect {

void keep_rank_log(const std::string& output, const LaunchEnvironment& place) {
  if (place.rank == 0) return;
  const std::string path = fmt::format("{}/logs/rank-{}.log", output, place.rank);
  std::shared_ptr<spdlog::sinks::basic_file_sink_mt> file;
  try {
    file = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path);
  } catch (const spdlog::spdlog_ex& error) {
    fail("train", "{} cannot be written: {}", path, error.what());
  }
  file->set_pattern("%Y-%m-%d %H:%M:%S.%e %l: %v");
  const auto logger = spdlog::default_logger();
  for (const auto& sink : logger->sinks()) sink->set_level(spdlog::level::warn);
  logger->sinks().push_back(std::move(file));
  logger->set_level(spdlog::level::debug);
  logger->flush_on(spdlog::level::debug);
}

}  // namespace reflect
