// One HTTP request under way and what has come of its reply.
#pragma once

#include <curl/curl.h>

#include <array>
#include <chrono>
#include <optional>
#include <string>

#include "reflect/net/http_client.h"

namespace reflect {

// Belongs to a libcurl handle and is used again with it.
struct Transfer {
  using Clock = std::chrono::steady_clock;

  CURL* easy = nullptr;
  bool active = false;
  std::string sent;
  HttpReply reply;
  std::size_t max_body = 0;
  std::size_t header_bytes = 0;
  bool too_large = false;
  Clock::time_point started;
  // The reply has begun: since when it is watched, and how much of it came since then.
  std::optional<Clock::time_point> window;
  std::size_t window_bytes = 0;
  std::array<char, CURL_ERROR_SIZE> words{};

  Transfer() = default;
  Transfer(const Transfer&) = delete;
  ~Transfer() { curl_easy_cleanup(easy); }

  void begin(std::uint64_t id, std::string body);

  // libcurl's callbacks; `context` is the Transfer.
  static std::size_t take_body(char* data, std::size_t, std::size_t size, void* context);
  static std::size_t take_header(char* data, std::size_t, std::size_t size, void* context);

 private:
  void came(std::size_t bytes);
};

HttpFailure failure_of(CURLcode code, bool too_large);

}  // namespace reflect
