// When requests may go out: limits, pauses and what reply headers ask for.
#include "net/pacing.h"

#include <catch2/catch.hpp>

#include "net/rate_headers.h"
#include "reflect/net/paced_client.h"

namespace reflect {
namespace {

TEST_CASE("concurrency falls by a factor once a round and grows by about one a round") {
  ConcurrencyLimit limit(100);
  CHECK(limit.limit() == 100);
  limit.overload(1.0, 2.0);
  CHECK(limit.limit() == 70);
  for (int i = 0; i < 30; ++i) limit.overload(1.5, 2.1);  // sent before the decrease
  CHECK(limit.limit() == 70);
  limit.overload(2.2, 3.0);
  CHECK(limit.limit() == 49);
  CHECK(limit.decreases() == 2);
  for (int i = 0; i < 49; ++i) limit.good_reply();
  CHECK(limit.limit() == 49);
  limit.good_reply();
  CHECK(limit.limit() == 50);
  for (int i = 0; i < 10000; ++i) limit.good_reply();
  CHECK(limit.limit() == 100);
  for (int i = 0; i < 100; ++i) limit.overload(10 + i, 10.5 + i);
  CHECK(limit.limit() == 1);
}

TEST_CASE("a cap spreads what it allows over the minute") {
  MinuteCap cap(60);
  cap.take(1, 100);
  CHECK(cap.next() == Approx(101));
  cap.take(2, 101);
  CHECK(cap.next() == Approx(103));
  cap.take(1, 500);  // a pause saves nothing up
  CHECK(cap.next() == Approx(501));
  cap.correct(10);
  CHECK(cap.next() == Approx(511));
  MinuteCap none(0);
  none.take(1e9, 100);
  CHECK(none.next() < 0);
}

TEST_CASE("pauses double up to a bound and are spread by their key") {
  for (std::int64_t tries = 1; tries <= 70; ++tries) {
    const double full = tries > 6 ? 60.0 : std::min(60.0, static_cast<double>(1 << (tries - 1)));
    const double pause = backoff_seconds(1, 60, tries, Random(1, "backoff", {5}));
    CHECK(pause >= full / 2);
    CHECK(pause <= full);
  }
  CHECK(backoff_seconds(1, 60, 3, Random(1, "backoff", {5})) ==
        backoff_seconds(1, 60, 3, Random(1, "backoff", {5})));
  CHECK(backoff_seconds(1, 60, 3, Random(1, "backoff", {5})) !=
        backoff_seconds(1, 60, 3, Random(1, "backoff", {6})));
}

TEST_CASE("durations of rate-limit headers") {
  const std::time_t now = 1'700'000'000;
  const auto is = [&](const char* text, double seconds) {
    INFO(text);
    REQUIRE(seconds_until_reset(text, now));
    CHECK(*seconds_until_reset(text, now) == Approx(seconds).margin(1e-9));
  };
  is("17", 17);
  is("0.5", 0.5);
  is("120ms", 0.12);
  is("1s", 1);
  is("6m0s", 360);
  is("1h2m3.5s", 3723.5);
  is("2d", 172800);
  is("1700000030", 30);
  is("1700000030500", 30.5);
  is("1600000000", 0);
  for (const char* text : {"", "soon", "-1", "1x", "1s2", "nan", "inf", "1e3s", " 1"}) {
    INFO(text);
    CHECK_FALSE(seconds_until_reset(text, now));
  }
}

TEST_CASE("what a reply's headers say") {
  const std::time_t now = 784'111'777;  // Sun, 06 Nov 1994 08:49:37 GMT
  HttpReply reply;
  reply.headers = {{"retry-after", "Sun, 06 Nov 1994 08:50:07 GMT"},
                   {"x-ratelimit-remaining-requests", "0"},
                   {"x-ratelimit-reset-requests", "2s"},
                   {"x-ratelimit-remaining-tokens", "12"},
                   {"x-ratelimit-reset-tokens", "6m"}};
  const RateSigns signs = rate_signs(reply, now);
  CHECK(signs.retry_after == 30.0);
  CHECK(signs.requests_reset == 2.0);
  CHECK(signs.remaining_tokens == 12.0);
  CHECK(signs.tokens_reset == 360.0);

  reply.headers = {{"retry-after", "3"},
                   {"x-ratelimit-remaining-requests", "1"},
                   {"x-ratelimit-reset-requests", "2s"}};
  CHECK(rate_signs(reply, now).retry_after == 3.0);
  CHECK_FALSE(rate_signs(reply, now).requests_reset);
  reply.headers.emplace_back("retry-after-ms", "250");
  CHECK(rate_signs(reply, now).retry_after == 0.25);
  reply.headers = {{"retry-after", "Sun, 06 Nov 1994 08:00:00 GMT"}};
  CHECK(rate_signs(reply, now).retry_after == 0.0);
  reply.headers = {{"retry-after", "when it suits"}};
  CHECK_FALSE(rate_signs(reply, now).retry_after);
}

TEST_CASE("a server's words become one clean line") {
  CHECK(server_words(" a\r\n\tb\x1b[2J \n") == "a b [2J");
  CHECK(server_words("") == "");
  const std::string cut = server_words(std::string(299, 'x') + "\u00e9" + "tail");
  CHECK(cut == std::string(299, 'x') + "...");
}

TEST_CASE("statuses that may succeed later are tried again, others stop") {
  const auto verdict = [](int status) {
    HttpReply reply;
    reply.status = status;
    return judge_status(reply).verdict;
  };
  for (const int status : {200, 201, 204}) CHECK(verdict(status) == ReplyVerdict::kDeliver);
  for (const int status : {408, 425, 429, 500, 502, 503, 504, 529}) {
    CHECK(verdict(status) == ReplyVerdict::kRetry);
  }
  for (const int status : {301, 307, 400, 401, 403, 404, 405, 413, 422}) {
    CHECK(verdict(status) == ReplyVerdict::kStop);
  }
}

}  // namespace
}  // namespace reflect
