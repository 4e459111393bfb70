// A run's numbers as TensorBoard event files.
#pragma once

#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace reflect {

// CRC-32C (Castagnoli; RFC 3720, appendix B.4) of bytes.
std::uint32_t crc32c(std::string_view bytes);

// One new file in `folder`, made if need be; TensorBoard reads all of a folder as one run. Records
// are TFRecords of tensorflow.Event messages: length, its masked CRC-32C, message, its masked
// CRC-32C.
class EventLog {
 public:
  // What earlier files say of steps >= `from_step` is void: a resumed run does not count them
  // twice.
  EventLog(const std::string& folder, std::int64_t from_step);
  ~EventLog();
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  // Every number of a line of MetricsLog at its "step", one below another as "outer/inner";
  // booleans, texts and lists are left out.
  void write(nlohmann::ordered_json line);

 private:
  void append(const std::string& event);

  std::string path_;
  std::FILE* file_ = nullptr;
};

}  // namespace reflect
