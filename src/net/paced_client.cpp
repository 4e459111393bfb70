#include "reflect/net/paced_client.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <deque>
#include <optional>
#include <queue>
#include <tuple>
#include <unordered_map>

#include "net/pacing.h"
#include "net/rate_headers.h"
#include "reflect/base/error.h"
#include "reflect/base/log.h"
#include "reflect/base/signals.h"

namespace reflect {
namespace {

constexpr std::string_view kPacedOp = "http";
constexpr std::int64_t kGaveUpInARow = 3;  // so many, and the endpoint counts as gone

double now_in_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool is_overload(const HttpReply& reply) {
  return reply.failure == HttpFailure::kTimeout || reply.status == 429 || reply.status == 503 ||
         reply.status == 504 || reply.status == 529;
}

void check(const PacingConfig& config) {
  if (config.max_in_flight < 1 || config.attempts < 1) {
    fail_usage(kPacedOp, "max-in-flight {} and attempts {} must be at least 1",
               config.max_in_flight, config.attempts);
  }
  if (!(config.backoff >= 0) || !(config.max_backoff >= config.backoff) ||
      !(config.max_pause >= 0)) {
    fail_usage(kPacedOp, "backoff {} must be from 0 to max-backoff {}, max-pause {} not negative",
               config.backoff, config.max_backoff, config.max_pause);
  }
  if (!(config.requests_per_minute >= 0) || !(config.tokens_per_minute >= 0)) {
    fail_usage(kPacedOp, "requests-per-minute {} and tokens-per-minute {} must not be negative",
               config.requests_per_minute, config.tokens_per_minute);
  }
}

struct Pending {
  PacedRequest request;
  std::int64_t attempts = 0;
  double sent_at = 0;  // the last attempt
};

struct Due {
  double at;
  std::uint64_t id;
  bool operator>(const Due& other) const { return std::tie(at, id) > std::tie(other.at, other.id); }
};

}  // namespace

struct PacedClient::State {
  State(const HttpConfig& http_config, const PacingConfig& pacing, std::string key,
        const std::string& user_agent, std::uint64_t random_seed, Judge judge_of_replies)
      : config(pacing),
        http(http_config, std::move(key), user_agent),
        judge(std::move(judge_of_replies)),
        seed(random_seed),
        concurrency(pacing.max_in_flight),
        requests_cap(pacing.requests_per_minute),
        tokens_cap(pacing.tokens_per_minute) {}

  bool room() const { return http.in_flight() < concurrency.limit(); }
  double next_allowed() const {
    return std::max({held_until, requests_cap.next(), tokens_cap.next()});
  }
  std::optional<std::uint64_t> next_request(double now);
  void start_allowed();
  std::chrono::milliseconds time_to_wait(double deadline) const;
  void send(std::uint64_t id, double now);
  void obey(const RateSigns& signs, const Pending& pending, bool pushed_back, double now);
  void settle(HttpReply reply, std::vector<PacedReply>& delivered);
  void deliver(HttpReply reply, std::vector<PacedReply>& delivered);
  void try_again(HttpReply reply, const Judgement& judgement, double now,
                 std::vector<PacedReply>& delivered);
  void give_up(HttpReply reply, const Judgement& judgement, std::vector<PacedReply>& delivered);
  void stop(const std::string& url, const Judgement& judgement, std::string_view why = "");

  PacingConfig config;
  HttpClient http;
  Judge judge;
  std::uint64_t seed;
  ConcurrencyLimit concurrency;
  MinuteCap requests_cap, tokens_cap;
  double held_until = 0;  // by the server's headers
  std::unordered_map<std::uint64_t, Pending> pending;
  std::deque<std::uint64_t> fresh;
  std::priority_queue<Due, std::vector<Due>, std::greater<>> retries;
  PacingCounts counts;
  std::int64_t gave_up_in_a_row = 0;
  std::optional<std::string> stopped;  // why
};

// The next one to send: a retry that is due, else one that was never sent.
std::optional<std::uint64_t> PacedClient::State::next_request(double now) {
  if (!retries.empty() && retries.top().at <= now) {
    const std::uint64_t id = retries.top().id;
    retries.pop();
    return id;
  }
  if (fresh.empty()) return std::nullopt;
  const std::uint64_t id = fresh.front();
  fresh.pop_front();
  return id;
}

void PacedClient::State::send(std::uint64_t id, double now) {
  Pending& each = pending.at(id);
  ++each.attempts;
  each.sent_at = now;
  ++counts.sent;
  requests_cap.take(1, now);
  tokens_cap.take(each.request.tokens, now);
  http.start(id, each.request.url, each.request.body);
}

void PacedClient::State::start_allowed() {
  const double now = now_in_seconds();
  while (room() && next_allowed() <= now) {
    const std::optional<std::uint64_t> id = next_request(now);
    if (!id) return;
    send(*id, now);
  }
}

std::chrono::milliseconds PacedClient::State::time_to_wait(double deadline) const {
  const double now = now_in_seconds();
  double until = deadline;
  if (room() && !fresh.empty()) until = std::min(until, next_allowed());
  if (room() && !retries.empty()) {
    until = std::min(until, std::max(retries.top().at, next_allowed()));
  }
  return std::chrono::milliseconds(std::lround(std::ceil(std::max(0.0, until - now) * 1e3)));
}

// Whoever is turned away waits as long as the server says, and so do all others.
void PacedClient::State::obey(const RateSigns& signs, const Pending& each, bool pushed_back,
                              double now) {
  const auto hold = [&](double seconds) {
    held_until = std::max(held_until, now + std::min(seconds, config.max_pause));
  };
  if (pushed_back && signs.retry_after) hold(*signs.retry_after);
  if (signs.requests_reset) hold(*signs.requests_reset);
  if (signs.tokens_reset && signs.remaining_tokens &&
      *signs.remaining_tokens < std::max(1.0, each.request.tokens)) {
    hold(*signs.tokens_reset);
  }
}

void PacedClient::State::settle(HttpReply reply, std::vector<PacedReply>& delivered) {
  const double now = now_in_seconds();
  const Pending& each = pending.at(reply.id);
  const Judgement judgement = judge(reply);
  const RateSigns signs = rate_signs(reply, std::time(nullptr));
  const bool pushed_back = judgement.verdict == ReplyVerdict::kRetry;
  obey(signs, each, pushed_back, now);
  if (is_overload(reply)) concurrency.overload(each.sent_at, now);
  if (judgement.verdict == ReplyVerdict::kStop) {
    stop(each.request.url, judgement);
  } else if (pushed_back && signs.retry_after.value_or(0) > config.max_pause) {
    stop(each.request.url, judgement,
         fmt::format("; it asks for a pause of {:.0f} s, longer than max-pause {:.0f}: run the "
                     "same command again later",
                     *signs.retry_after, config.max_pause));
  } else if (pushed_back) {
    try_again(std::move(reply), judgement, now, delivered);
  } else {
    deliver(std::move(reply), delivered);
  }
}

void PacedClient::State::deliver(HttpReply reply, std::vector<PacedReply>& delivered) {
  const auto each = pending.find(reply.id);
  concurrency.good_reply();
  ++counts.delivered;
  gave_up_in_a_row = 0;
  delivered.push_back({std::move(reply), each->second.attempts, false, ""});
  pending.erase(each);
}

void PacedClient::State::try_again(HttpReply reply, const Judgement& judgement, double now,
                                   std::vector<PacedReply>& delivered) {
  if (++counts.retries[judgement.reason] == 1) {
    log_warn("{}: {}{}{}; trying again", pending.at(reply.id).request.url, judgement.reason,
             judgement.words.empty() ? "" : ": ", judgement.words);
  }
  const std::int64_t tries = pending.at(reply.id).attempts;
  if (tries >= config.attempts) return give_up(std::move(reply), judgement, delivered);
  const Random random(seed, "backoff", {reply.id, static_cast<std::uint64_t>(tries)});
  const double pause = backoff_seconds(config.backoff, config.max_backoff, tries, random);
  retries.push({now + pause, reply.id});
}

void PacedClient::State::give_up(HttpReply reply, const Judgement& judgement,
                                 std::vector<PacedReply>& delivered) {
  const auto each = pending.find(reply.id);
  ++counts.gave_up;
  if (counts.delivered == 0 || ++gave_up_in_a_row >= kGaveUpInARow) {
    stop(each->second.request.url, judgement,
         fmt::format(" ({} attempts); run the same command again when the server is back",
                     each->second.attempts));
    return;  // it stays pending, so that nobody takes the run for finished
  }
  const std::string fault = judgement.words.empty() ? "" : ": " + judgement.words;
  delivered.push_back({std::move(reply), each->second.attempts, true, judgement.reason + fault});
  pending.erase(each);
}

void PacedClient::State::stop(const std::string& url, const Judgement& judgement,
                              std::string_view why) {
  if (stopped) return;
  stopped = fmt::format("{}: {}{}{}{}", url, judgement.reason, judgement.words.empty() ? "" : ": ",
                        judgement.words, why);
}

PacedClient::PacedClient(const HttpConfig& http, const PacingConfig& pacing, std::string key,
                         const std::string& user_agent, std::uint64_t seed, Judge judge) {
  check(pacing);
  state_ =
      std::make_unique<State>(http, pacing, std::move(key), user_agent, seed, std::move(judge));
}

PacedClient::PacedClient(PacedClient&&) noexcept = default;
PacedClient::~PacedClient() = default;

std::size_t PacedClient::limit() const {
  return state_->concurrency.limit();
}

std::size_t PacedClient::pending() const {
  return state_->pending.size();
}

void PacedClient::submit(PacedRequest request) {
  const std::uint64_t id = request.id;
  if (!state_->pending.emplace(id, Pending{std::move(request)}).second) {
    fail(kPacedOp, "request {} is already pending; this is a bug", id);
  }
  state_->fresh.push_back(id);
}

void PacedClient::correct_tokens(double difference) {
  state_->tokens_cap.correct(difference);
}

std::vector<PacedReply> PacedClient::poll(std::chrono::milliseconds wait) {
  State& state = *state_;
  const double deadline = now_in_seconds() + std::chrono::duration<double>(wait).count();
  const int signal = signal_received();
  std::vector<PacedReply> delivered;
  while (!state.stopped && !state.pending.empty()) {
    state.start_allowed();
    for (HttpReply& reply : state.http.poll(state.time_to_wait(deadline))) {
      state.settle(std::move(reply), delivered);
    }
    if (!delivered.empty() || signal_received() != signal || now_in_seconds() >= deadline) break;
  }
  if (state.stopped && delivered.empty()) fail(kPacedOp, "{}", *state.stopped);
  return delivered;
}

PacingCounts PacedClient::counts() const {
  PacingCounts counts = state_->counts;
  counts.decreases = state_->concurrency.decreases();
  return counts;
}

}  // namespace reflect
