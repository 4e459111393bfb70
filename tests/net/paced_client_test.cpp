// Requests that are tried again, spaced and limited, against a server that misbehaves on purpose.
#include "reflect/net/paced_client.h"

#include <catch2/catch.hpp>
#include <map>

#include "net/fault_server.h"
#include "reflect/base/error.h"

namespace reflect {
namespace {

using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;

const std::string kKey = "sk-test-0123456789";

HttpConfig quick_http() {
  HttpConfig config;
  config.timeout = 2;
  config.low_speed_seconds = 0.6;
  config.low_speed_bytes = 10;
  config.max_reply_bytes = 1 << 20;
  return config;
}

PacingConfig quick_pacing() {
  PacingConfig config;
  config.max_in_flight = 256;
  config.attempts = 5;
  config.backoff = 0.02;
  config.max_backoff = 0.1;
  return config;
}

// As judge_status, and a good reply must be a whole chat completion.
Judgement judge_chat(const HttpReply& reply) {
  Judgement judgement = judge_status(reply);
  if (judgement.verdict != ReplyVerdict::kDeliver) return judgement;
  const Json json = Json::parse(reply.body, nullptr, false);
  if (!json.is_object() || !json.contains("choices") || json["choices"].empty()) {
    return {ReplyVerdict::kRetry, "malformed", ""};
  }
  return judgement;
}

PacedRequest request(const FaultServer& server, const std::string& plan, std::uint64_t id,
                     double tokens = 0) {
  const Json body = {{"messages", {{{"role", "user"}, {"content", std::to_string(id)}}}}};
  return {id, server.url(plan) + "/chat/completions", body.dump(), tokens};
}

PacedClient client_with(const PacingConfig& pacing) {
  return {quick_http(), pacing, kKey, "reflect-test", 1, judge_chat};
}

// All replies; each must be the right one unless the request was given up.
std::map<std::uint64_t, PacedReply> all_replies(PacedClient& client) {
  std::map<std::uint64_t, PacedReply> replies;
  while (client.pending() != 0) {
    for (PacedReply& reply : client.poll(std::chrono::milliseconds(200))) {
      const std::uint64_t id = reply.reply.id;
      if (!reply.gave_up) {
        const Json json = Json::parse(reply.reply.body);
        CHECK(json["choices"][0]["message"]["content"] == "reply to " + std::to_string(id));
      }
      CHECK(replies.emplace(id, std::move(reply)).second);
    }
  }
  return replies;
}

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

std::string error_of(PacedClient& client) {
  try {
    all_replies(client);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("the right replies come under every fault") {
  const std::vector<std::string> plans = {"429:2",
                                          "429-ratelimit:2",
                                          "500:2",
                                          "502:2",
                                          "503:2",
                                          "529:2",
                                          "stall:1",
                                          "reset:2",
                                          "reset-mid:2",
                                          "close:2",
                                          "close-mid:2",
                                          "stall-mid:1",
                                          "slow:2",
                                          "trickle:1",
                                          "truncated:2",
                                          "malformed:2",
                                          "no-choices:2",
                                          "html:2",
                                          "wrong-type:2",
                                          "empty:2",
                                          "not-http:2",
                                          "huge:1",
                                          "http10:2",
                                          "huge-no-length:1",
                                          "drop:2",
                                          "chunked:2",
                                          "late-headers:2",
                                          "mixed:4",
                                          "500:1,reset:1,429:1,html:1"};
  const FaultServer server;
  PacedClient client = client_with(quick_pacing());
  constexpr std::uint64_t kEach = 4;
  for (std::uint64_t i = 0; i < plans.size() * kEach; ++i) {
    client.submit(request(server, plans[i % plans.size()], i));
  }
  const auto replies = all_replies(client);
  CHECK(replies.size() == plans.size() * kEach);
  for (const auto& [id, reply] : replies) {
    const std::string& plan = plans[id % plans.size()];
    INFO(plan);
    CHECK_FALSE(reply.gave_up);
    if (plan == "500:2" || plan == "malformed:2") CHECK(reply.attempts == 3);
    if (plan == "chunked:2") CHECK(reply.attempts == 1);
  }
  const PacingCounts counts = client.counts();
  CHECK(counts.delivered == static_cast<std::int64_t>(replies.size()));
  CHECK(counts.decreases > 0);
  std::int64_t retries = 0;
  for (const auto& [reason, count] : counts.retries) retries += count;
  CHECK(counts.sent == counts.delivered + retries);
}

TEST_CASE("Retry-After is waited for, in seconds and as a date") {
  for (const char* plan : {"429-seconds", "503-seconds", "429-date"}) {
    INFO(plan);
    const FaultServer server;
    PacedClient client = client_with(quick_pacing());
    client.submit(request(server, plan, 1));
    const Clock::time_point begin = Clock::now();
    CHECK(all_replies(client).at(1).attempts == 2);
    CHECK(seconds_since(begin) >= 0.95);
    CHECK(seconds_since(begin) < 60);
  }
}

TEST_CASE("while the server asks for a pause nothing else is sent") {
  const FaultServer server;
  PacedClient client = client_with(quick_pacing());
  client.submit(request(server, "429-seconds", 1));
  for (int i = 0; i < 20; ++i) client.poll(std::chrono::milliseconds(10));
  const Clock::time_point begin = Clock::now();
  client.submit(request(server, "", 2));
  CHECK(all_replies(client).size() == 2);
  CHECK(seconds_since(begin) > 0.5);
}

TEST_CASE("a pause that is too long ends the run and says so") {
  const FaultServer server;
  PacedClient client = client_with(quick_pacing());
  client.submit(request(server, "429-day", 1));
  const std::string error = error_of(client);
  CHECK(error.find("86400 s") != std::string::npos);
  CHECK(error.find("status on purpose") != std::string::npos);
}

TEST_CASE("an overloaded server gets fewer requests at once until it bears them") {
  const FaultServer server({"--delay", "0.02", "--max-in-flight", "8"});
  PacingConfig pacing = quick_pacing();
  pacing.max_in_flight = 64;
  pacing.attempts = 50;
  PacedClient client = client_with(pacing);
  for (std::uint64_t i = 0; i < 300; ++i) client.submit(request(server, "", i));
  CHECK(all_replies(client).size() == 300);
  const PacingCounts counts = client.counts();
  CHECK(counts.decreases >= 5);  // 64 * 0.7^6 < 8
  CHECK(client.limit() <= 16);
  CHECK(counts.retries.at("status 429") < 300);
}

TEST_CASE("an error that never succeeds stops with the server's words, without the key") {
  const FaultServer server;
  for (const std::string status : {"400", "401", "403", "404", "422"}) {
    PacedClient client = client_with(quick_pacing());
    client.submit(request(server, status + "-echo:9", 1));
    client.submit(request(server, "", 2));
    const std::string error = error_of(client);
    CHECK(error.find("status " + status) != std::string::npos);
    CHECK(error.find("your key Bearer [key] is wrong") != std::string::npos);
    CHECK(error.find(kKey) == std::string::npos);
    CHECK(error.find_first_of("\x1b\n") == std::string::npos);
    CHECK(client.counts().sent <= 2);
  }
}

TEST_CASE("a request that never succeeds is given up while others go on") {
  const FaultServer server;
  PacedClient client = client_with(quick_pacing());
  for (std::uint64_t i = 0; i < 10; ++i) {
    client.submit(request(server, i == 3 ? "500:99" : "", i));
  }
  const auto replies = all_replies(client);
  CHECK(replies.size() == 10);
  CHECK(replies.at(3).gave_up);
  CHECK(replies.at(3).attempts == 5);
  CHECK(replies.at(3).last_fault.find("status 500") != std::string::npos);
  CHECK(client.counts().gave_up == 1);
}

TEST_CASE("a server that is gone ends the run") {
  const FaultServer server;
  PacedClient never = client_with(quick_pacing());
  never.submit(request(server, "503:99", 1));
  CHECK(error_of(never).find("5 attempts") != std::string::npos);

  PacedClient client = client_with(quick_pacing());
  client.submit(request(server, "", 1));
  CHECK(all_replies(client).size() == 1);
  server.kill();
  for (std::uint64_t i = 2; i < 9; ++i) client.submit(request(server, "", i));
  CHECK(error_of(client).find("connection") != std::string::npos);
}

TEST_CASE("caps on requests and tokens a minute hold") {
  const FaultServer server;
  const auto seconds_for = [&](const PacingConfig& pacing, double tokens) {
    PacedClient client = client_with(pacing);
    const Clock::time_point begin = Clock::now();
    for (std::uint64_t i = 0; i < 11; ++i) client.submit(request(server, "", i, tokens));
    CHECK(all_replies(client).size() == 11);
    return seconds_since(begin);
  };
  PacingConfig requests = quick_pacing();
  requests.requests_per_minute = 1200;
  CHECK(seconds_for(requests, 0) >= 0.5);
  PacingConfig tokens = quick_pacing();
  tokens.tokens_per_minute = 120'000;
  CHECK(seconds_for(tokens, 100) >= 0.5);
}

TEST_CASE("settings that make no sense are refused") {
  PacingConfig pacing;
  pacing.max_in_flight = 0;
  CHECK_THROWS_AS(client_with(pacing), Error);
  pacing = {};
  pacing.backoff = 100;
  CHECK_THROWS_AS(client_with(pacing), Error);
}

}  // namespace
}  // namespace reflect
