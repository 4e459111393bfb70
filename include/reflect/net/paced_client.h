// Requests to one endpoint that are tried again, spaced and limited as the server asks.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "reflect/net/http_client.h"

namespace reflect {

struct PacingConfig {
  std::int64_t max_in_flight = 64;
  std::int64_t attempts = 8;
  double backoff = 1;
  double max_backoff = 60;
  double max_pause = 900;
  double requests_per_minute = 0;
  double tokens_per_minute = 0;

  void visit(auto& v) {
    v("max-in-flight", max_in_flight,
      "Most requests under way at once; fewer while the server is overloaded.");
    v("attempts", attempts, "Most tries of one request.");
    v("backoff", backoff, "Seconds before the second try; doubled with each further one.");
    v("max-backoff", max_backoff, "Most seconds between two tries.");
    v("max-pause", max_pause, "A server that asks for a longer pause (seconds) ends the run.");
    v("requests-per-minute", requests_per_minute, "Cap on requests a minute; 0: none.");
    v("tokens-per-minute", tokens_per_minute,
      "Cap on tokens a minute, prompt and reply together; 0: none.");
  }
};

// What to do with a reply.
enum class ReplyVerdict {
  kDeliver,  // to whoever asked
  kRetry,    // may succeed at another try
  kStop,     // this and all other requests will never succeed
};
struct Judgement {
  ReplyVerdict verdict = ReplyVerdict::kDeliver;
  std::string reason;  // a short code to count by: "status 429", "timeout"
  std::string words;   // what the server said, for people
};

// By failure and status alone: 2xx is delivered; 408, 409, 425, 429, 5xx and what is not kHopeless
// is tried again; any other status stops.
Judgement judge_status(const HttpReply& reply);

// A server's text on one line without control characters, cut at 300 bytes.
std::string server_words(std::string_view text);

struct PacedRequest {
  std::uint64_t id = 0;   // unique among those submitted and not yet delivered
  std::string url, body;  // as HttpClient::start takes them
  double tokens = 0;      // how many it will cost, estimated; for tokens_per_minute
};

struct PacedReply {
  HttpReply reply;
  std::int64_t attempts = 1;
  bool gave_up = false;    // out of attempts
  std::string last_fault;  // of those that gave up: reason and words of the last attempt
};

struct PacingCounts {
  std::int64_t sent = 0;                        // attempts
  std::int64_t delivered = 0;                   // good replies
  std::int64_t gave_up = 0;                     // requests
  std::int64_t decreases = 0;                   // of the concurrency
  std::map<std::string, std::int64_t> retries;  // by reason
};

class PacedClient {
 public:
  using Judge = std::function<Judgement(const HttpReply&)>;

  // `seed` keys the jitter of the pauses. The rest is passed on to HttpClient.
  PacedClient(const HttpConfig& http, const PacingConfig& pacing, std::string key,
              const std::string& user_agent, std::uint64_t seed, Judge judge = judge_status);
  PacedClient(PacedClient&&) noexcept;
  ~PacedClient();

  // How many requests the server bears at once, at present.
  std::size_t limit() const;
  // Requests that are submitted and not yet delivered.
  std::size_t pending() const;
  void submit(PacedRequest request);
  // A reply told its true cost: its difference from the estimate.
  void correct_tokens(double difference);

  // Delivers what has finished; waits until there is something, `wait` is over, a signal came
  // (base/signals.h) or nothing is pending. Throws Error with the server's words, after all good
  // replies were delivered, when no request can succeed any more: a verdict kStop, a longer pause
  // than max_pause, a request out of attempts before any has succeeded, or three such in a row.
  std::vector<PacedReply> poll(std::chrono::milliseconds wait);

  PacingCounts counts() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace reflect
