// A run's measurements as JSON Lines, one flushed line a step.
#pragma once

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

namespace reflect {

class MetricsLog {
 public:
  // Appends to `path`; lines whose "step" is >= `from_step` are dropped first, so that a resumed
  // run does not count a step twice.
  explicit MetricsLog(const std::string& path, std::int64_t from_step = 0);
  ~MetricsLog();
  MetricsLog(const MetricsLog&) = delete;
  MetricsLog& operator=(const MetricsLog&) = delete;
  void write(const nlohmann::ordered_json& line);

 private:
  std::string path_;
  std::FILE* file_ = nullptr;
};

}  // namespace reflect
