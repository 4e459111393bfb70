#include "reflect/metrics/event_log.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <system_error>

#include "reflect/base/error.h"

namespace reflect {
namespace {

constexpr std::array<std::uint32_t, 256> kCrcTable = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78U : 0U);
    table[i] = crc;
  }
  return table;
}();

// A checksum that is stored beside its data is rotated and shifted (TFRecord).
std::uint32_t masked_crc(std::string_view bytes) {
  return std::rotr(crc32c(bytes), 15) + 0xa282ead8U;
}

template <class Number>
std::string little_endian(Number number) {
  static_assert(std::endian::native == std::endian::little);
  return {reinterpret_cast<const char*>(&number), sizeof number};
}

// Protocol Buffers' wire format: fields of a message, by number.
enum class WireType { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

void put_varint(std::string& message, std::uint64_t number) {
  for (; number >= 0x80; number >>= 7) message.push_back(static_cast<char>(number | 0x80));
  message.push_back(static_cast<char>(number));
}

void put_tag(std::string& message, int field, WireType type) {
  put_varint(message, static_cast<std::uint64_t>(field) << 3 | static_cast<std::uint64_t>(type));
}

void put_integer(std::string& message, int field, std::int64_t number) {
  put_tag(message, field, WireType::kVarint);
  put_varint(message, static_cast<std::uint64_t>(number));
}

void put_bytes(std::string& message, int field, std::string_view bytes) {
  put_tag(message, field, WireType::kBytes);
  put_varint(message, bytes.size());
  message.append(bytes);
}

// tensorflow.Event: wall_time = 1, step = 2, file_version = 3, summary = 5, session_log = 7.
std::string event_at(std::int64_t step) {
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  std::string event;
  put_tag(event, 1, WireType::kFixed64);
  event += little_endian(now.count());
  put_integer(event, 2, step);
  return event;
}

// tensorflow.Summary: value = 1 { tag = 1, simple_value = 2 }.
void put_values(std::string& summary, const std::string& name, const nlohmann::ordered_json& node) {
  if (node.is_object()) {
    for (const auto& [key, child] : node.items())
      put_values(summary, name.empty() ? key : name + "/" + key, child);
  } else if (node.is_number()) {
    std::string value;
    put_bytes(value, 1, name);
    put_tag(value, 2, WireType::kFixed32);
    value += little_endian(node.get<float>());
    put_bytes(summary, 1, value);
  }
}

std::string new_file_in(const std::string& folder) {
  std::filesystem::create_directories(folder);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now).count();
  std::string path;
  int n = 0;
  do path = fmt::format("{}/events.out.tfevents.{}.{}.{}", folder, seconds, ::getpid(), n++);
  while (std::filesystem::exists(path));
  return path;
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  std::uint32_t crc = ~0U;
  for (const char byte : bytes)
    crc = kCrcTable[(crc ^ static_cast<unsigned char>(byte)) & 0xff] ^ (crc >> 8);
  return ~crc;
}

EventLog::EventLog(const std::string& folder, std::int64_t from_step) : path_(new_file_in(folder)) {
  file_ = std::fopen(path_.c_str(), "wxe");
  if (file_ == nullptr) fail("metrics", "{}: {}", path_, std::generic_category().message(errno));
  std::string version = event_at(0);
  put_bytes(version, 3, "brain.Event:2");
  append(version);
  std::string started, session;
  put_integer(session, 1, 1);  // status = START
  started = event_at(from_step);
  put_bytes(started, 7, session);
  append(started);
}

EventLog::~EventLog() {
  std::fclose(file_);
}

void EventLog::write(nlohmann::ordered_json line) {
  std::string event = event_at(line.at("step").get<std::int64_t>()), summary;
  line.erase("step");
  put_values(summary, "", line);
  put_bytes(event, 5, summary);
  append(event);
}

void EventLog::append(const std::string& event) {
  const std::string length = little_endian(static_cast<std::uint64_t>(event.size()));
  const std::string record =
      length + little_endian(masked_crc(length)) + event + little_endian(masked_crc(event));
  if (std::fwrite(record.data(), 1, record.size(), file_) != record.size() ||
      std::fflush(file_) != 0)
    fail("metrics", "{}: {}", path_, std::generic_category().message(errno));
}

}  // namespace reflect
