// HTTP requests, hundreds in flight from one thread, on libcurl's multi interface.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace reflect {

struct HttpConfig {
  double connect_timeout = 20;
  double timeout = 600;
  double low_speed_seconds = 60;
  std::int64_t low_speed_bytes = 60;
  std::int64_t max_reply_bytes = 8 << 20;
  std::string ca_file;

  void visit(auto& v) {
    v("connect-timeout", connect_timeout, "Seconds until a connection must stand.");
    v("timeout", timeout, "Seconds that one request may take.");
    v("low-speed-seconds", low_speed_seconds,
      "A reply that has begun must bring low-speed-bytes in this many seconds; 0: no limit.");
    v("low-speed-bytes", low_speed_bytes, "See low-speed-seconds.");
    v("max-reply-bytes", max_reply_bytes, "A longer reply is cut off and counts as a failure.");
    v("ca-file", ca_file, "Certificates to trust (PEM) instead of the system's.");
  }
};

// Why there is no whole reply.
enum class HttpFailure {
  kNone,
  kTimeout,     // connecting, in total, or a reply that stopped coming
  kConnection,  // refused, reset, closed in the middle, name not found, not HTTP
  kTooLarge,    // more than max_reply_bytes
  kHopeless,    // never succeeds: malformed URL, certificate that does not hold
};

struct HttpReply {
  std::uint64_t id = 0;  // of the request
  HttpFailure failure = HttpFailure::kNone;
  std::string problem;  // in words, where `failure` says that there is one
  int status = 0;       // 0: no reply has begun
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;
  double seconds = 0;  // from start to end

  // The value of the last header of that name (in lower case); empty without one.
  std::string_view header(std::string_view name) const;
};

// All requests of one client go to endpoints that may see the same key. Connections are kept for
// later requests (HTTP/1.1); certificates are verified; http_proxy, https_proxy, all_proxy and
// no_proxy are honoured; redirects are not followed. Not thread-safe: one thread starts and polls.
class HttpClient {
 public:
  // `key` is sent as "Authorization: Bearer <key>" (empty: not at all), and "[key]" stands in its
  // place wherever a reply or a problem repeats it. Throws Error for values that make no sense.
  HttpClient(const HttpConfig& config, std::string key, const std::string& user_agent);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // POSTs `body` as JSON; an empty body is a GET. The reply comes out of `poll` with this id.
  void start(std::uint64_t id, const std::string& url, std::string body);
  std::size_t in_flight() const;

  // Moves data for up to `wait`, less when a reply is whole, a signal comes or a timer ends.
  // Returns what has finished, often nothing.
  std::vector<HttpReply> poll(std::chrono::milliseconds wait);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Throws Error (usage) unless `url` is http(s)://host... without user name, query and fragment.
// `flag` names it in the error.
void check_url(std::string_view url, std::string_view flag);

}  // namespace reflect
