#include "reflect/net/http_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "net/certificates.h"
#include "net/socket_watch.h"
#include "net/transfer.h"
#include "reflect/base/error.h"

namespace reflect {
namespace {

constexpr std::string_view kHttpOp = "http";
constexpr std::chrono::milliseconds kSweep(500);  // how often slow replies are looked for

using Clock = Transfer::Clock;

void start_libcurl() {
  static const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (code != CURLE_OK) fail(kHttpOp, "libcurl does not start: {}", curl_easy_strerror(code));
}

template <class Value>
void set(CURL* easy, CURLoption option, Value value) {
  const CURLcode code = curl_easy_setopt(easy, option, value);
  if (code != CURLE_OK) {
    fail(kHttpOp, "libcurl refuses option {}: {}", static_cast<int>(option),
         curl_easy_strerror(code));
  }
}

void replace_all(std::string& text, std::string_view what, std::string_view by) {
  for (std::size_t at = text.find(what); at != text.npos; at = text.find(what, at + by.size())) {
    text.replace(at, what.size(), by);
  }
}

std::chrono::milliseconds milliseconds_until(Clock::time_point time, Clock::time_point now) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(time - now);
  return std::clamp(left, std::chrono::milliseconds(0), std::chrono::milliseconds(1'000'000));
}

void check(const HttpConfig& config) {
  if (!(config.connect_timeout > 0) || !(config.timeout > 0) || config.timeout > 1e6 ||
      config.connect_timeout > 1e6 || !(config.low_speed_seconds >= 0)) {
    fail_usage(kHttpOp, "connect-timeout {}, timeout {} and low-speed-seconds {} must be positive",
               config.connect_timeout, config.timeout, config.low_speed_seconds);
  }
  if (config.max_reply_bytes <= 0 || config.low_speed_bytes < 0) {
    fail_usage(kHttpOp, "max-reply-bytes {} and low-speed-bytes {} must be positive",
               config.max_reply_bytes, config.low_speed_bytes);
  }
}

}  // namespace

struct HttpClient::State {
  State(const HttpConfig& settings, std::string secret, const std::string& user_agent);
  ~State();
  State(const State&) = delete;

  Transfer& idle_transfer();
  void prepare(Transfer& transfer);
  void wait_for_events(std::chrono::milliseconds wait);
  void act(curl_socket_t socket, int events);
  void cut_slow_replies();
  void collect();
  void end(Transfer& transfer, CURLcode code, std::string words);

  static int set_timer(CURLM*, long milliseconds, void* context);

  HttpConfig config;
  std::string key;
  std::string ca_file;
  curl_slist* headers = nullptr;
  CURLM* multi = nullptr;
  SocketWatch sockets;
  std::vector<std::unique_ptr<Transfer>> transfers;
  std::vector<Transfer*> idle;
  std::size_t active = 0;
  std::optional<Clock::time_point> timer;  // when libcurl wants to be called
  Clock::time_point next_sweep = Clock::now();
  std::vector<HttpReply> finished;
};

HttpClient::State::State(const HttpConfig& settings, std::string secret,
                         const std::string& user_agent)
    : config(settings), key(std::move(secret)) {
  check(config);
  if (std::ranges::any_of(key, [](unsigned char c) { return c <= ' ' || c >= 127; })) {
    fail_usage(kHttpOp, "the key holds white space, a line end or bytes beyond ASCII");
  }
  start_libcurl();
  ca_file = trusted_certificates(config.ca_file);
  for (const std::string& line :
       {std::string("Content-Type: application/json"), std::string("Accept: application/json"),
        std::string("Expect:"), "User-Agent: " + user_agent}) {
    headers = curl_slist_append(headers, line.c_str());
  }
  if (!key.empty()) headers = curl_slist_append(headers, ("Authorization: Bearer " + key).c_str());
  multi = curl_multi_init();
  if (headers == nullptr || multi == nullptr) throw std::bad_alloc();
  curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, SocketWatch::want);
  curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, &sockets);
  curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);
  curl_multi_setopt(multi, CURLMOPT_TIMERDATA, this);
}

HttpClient::State::~State() {
  for (const auto& transfer : transfers) {
    if (transfer->active) curl_multi_remove_handle(multi, transfer->easy);
  }
  transfers.clear();
  curl_multi_cleanup(multi);
  curl_slist_free_all(headers);
}

Transfer& HttpClient::State::idle_transfer() {
  if (idle.empty()) {
    transfers.push_back(std::make_unique<Transfer>());
    prepare(*transfers.back());
    idle.push_back(transfers.back().get());
  }
  Transfer& transfer = *idle.back();
  idle.pop_back();
  return transfer;
}

// What all requests of a handle have in common.
void HttpClient::State::prepare(Transfer& transfer) {
  transfer.easy = curl_easy_init();
  if (transfer.easy == nullptr) throw std::bad_alloc();
  transfer.max_body = static_cast<std::size_t>(config.max_reply_bytes);
  CURL* easy = transfer.easy;
  set(easy, CURLOPT_PRIVATE, &transfer);
  sockets.watch_connections_of(easy);
  set(easy, CURLOPT_ERRORBUFFER, transfer.words.data());
  set(easy, CURLOPT_NOSIGNAL, 1L);  // libcurl sends with MSG_NOSIGNAL, under TLS too since 7.87
  set(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  set(easy, CURLOPT_HTTPHEADER, headers);
  set(easy, CURLOPT_HEADEROPT, static_cast<long>(CURLHEADER_SEPARATE));
  set(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  set(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  set(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  if (!ca_file.empty()) set(easy, CURLOPT_CAINFO, ca_file.c_str());
  set(easy, CURLOPT_CONNECTTIMEOUT_MS, std::lround(config.connect_timeout * 1e3));
  set(easy, CURLOPT_TIMEOUT_MS, std::lround(config.timeout * 1e3));
  set(easy, CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(config.max_reply_bytes));
  set(easy, CURLOPT_WRITEFUNCTION, Transfer::take_body);
  set(easy, CURLOPT_WRITEDATA, &transfer);
  set(easy, CURLOPT_HEADERFUNCTION, Transfer::take_header);
  set(easy, CURLOPT_HEADERDATA, &transfer);
}

int HttpClient::State::set_timer(CURLM*, long milliseconds, void* context) {
  State& state = *static_cast<State*>(context);
  state.timer.reset();
  if (milliseconds >= 0) state.timer = Clock::now() + std::chrono::milliseconds(milliseconds);
  return 0;
}

void HttpClient::State::act(curl_socket_t socket, int events) {
  int running = 0;
  const CURLMcode code = curl_multi_socket_action(multi, socket, events, &running);
  if (code != CURLM_OK) fail(kHttpOp, "libcurl: {}", curl_multi_strerror(code));
}

void HttpClient::State::wait_for_events(std::chrono::milliseconds wait) {
  const Clock::time_point now = Clock::now();
  Clock::time_point until = now + wait;
  if (timer) until = std::min(until, *timer);
  if (active != 0) until = std::min(until, next_sweep);
  for (const auto& [socket, action] : sockets.wait(milliseconds_until(until, now))) {
    act(socket, action);
  }
  if (timer && *timer <= Clock::now()) {
    timer.reset();
    act(CURL_SOCKET_TIMEOUT, 0);
  }
}

// libcurl's own low-speed limit also runs while a server thinks before its first byte; this one
// begins with that byte.
void HttpClient::State::cut_slow_replies() {
  const Clock::time_point now = Clock::now();
  if (config.low_speed_seconds == 0 || now < next_sweep) return;
  next_sweep = now + kSweep;
  for (const auto& transfer : transfers) {
    if (!transfer->active || !transfer->window) continue;
    const double seconds = std::chrono::duration<double>(now - *transfer->window).count();
    if (seconds < config.low_speed_seconds) continue;
    if (transfer->window_bytes < static_cast<std::size_t>(config.low_speed_bytes)) {
      end(*transfer, CURLE_OPERATION_TIMEDOUT,
          fmt::format("the reply stopped coming: {} bytes in {:.1f} s", transfer->window_bytes,
                      seconds));
    }
    transfer->window = now;
    transfer->window_bytes = 0;
  }
}

void HttpClient::State::collect() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    Transfer* transfer = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
    const CURLcode code = message->data.result;
    std::string words = transfer->words.data();
    if (words.empty()) words = curl_easy_strerror(code);
    end(*transfer, code, std::move(words));
  }
}

void HttpClient::State::end(Transfer& transfer, CURLcode code, std::string words) {
  HttpReply& reply = transfer.reply;
  long status = 0;
  curl_easy_getinfo(transfer.easy, CURLINFO_RESPONSE_CODE, &status);
  reply.status = static_cast<int>(status);
  reply.failure = failure_of(code, transfer.too_large);
  if (reply.failure == HttpFailure::kTooLarge) {
    words = fmt::format("the reply is longer than {} bytes", config.max_reply_bytes);
  }
  if (reply.failure != HttpFailure::kNone) reply.problem = std::move(words);
  reply.seconds = std::chrono::duration<double>(Clock::now() - transfer.started).count();
  if (!key.empty()) {
    replace_all(reply.problem, key, "[key]");
    replace_all(reply.body, key, "[key]");
    for (auto& [name, value] : reply.headers) replace_all(value, key, "[key]");
  }
  curl_multi_remove_handle(multi, transfer.easy);
  transfer.active = false;
  --active;
  idle.push_back(&transfer);
  finished.push_back(std::move(reply));
}

HttpClient::HttpClient(const HttpConfig& config, std::string key, const std::string& user_agent)
    : state_(std::make_unique<State>(config, std::move(key), user_agent)) {}

HttpClient::~HttpClient() = default;

void HttpClient::start(std::uint64_t id, const std::string& url, std::string body) {
  Transfer& transfer = state_->idle_transfer();
  transfer.begin(id, std::move(body));
  set(transfer.easy, CURLOPT_URL, url.c_str());
  if (transfer.sent.empty()) {
    set(transfer.easy, CURLOPT_HTTPGET, 1L);
  } else {
    set(transfer.easy, CURLOPT_POST, 1L);
    set(transfer.easy, CURLOPT_POSTFIELDS, transfer.sent.c_str());
    set(transfer.easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(transfer.sent.size()));
  }
  const CURLMcode code = curl_multi_add_handle(state_->multi, transfer.easy);
  if (code != CURLM_OK) fail(kHttpOp, "libcurl: {}", curl_multi_strerror(code));
  transfer.active = true;
  ++state_->active;
}

std::size_t HttpClient::in_flight() const {
  return state_->active;
}

std::vector<HttpReply> HttpClient::poll(std::chrono::milliseconds wait) {
  state_->wait_for_events(wait);
  state_->collect();
  state_->cut_slow_replies();
  return std::exchange(state_->finished, {});
}

}  // namespace reflect
