// What a reply's headers say about when to send again.
#pragma once

#include <ctime>
#include <optional>
#include <string_view>

#include "reflect/net/http_client.h"

namespace reflect {

// Seconds from now; nothing where the reply does not say.
struct RateSigns {
  std::optional<double> retry_after;       // Retry-After in seconds or as a date, retry-after-ms
  std::optional<double> remaining_tokens;  // of x-ratelimit-remaining-tokens
  std::optional<double> tokens_reset;      // until they are refilled
  std::optional<double> requests_reset;    // only when no request is left until then
};

// `now` is what dates and epoch times are compared with.
RateSigns rate_signs(const HttpReply& reply, std::time_t now);

// Seconds in "17", "0.5", "120ms", "6m0s", "1h2m3.5s", or until a time since the epoch in seconds
// or milliseconds ("1700000000", "1700000000000"). Nothing for other text.
std::optional<double> seconds_until_reset(std::string_view text, std::time_t now);

}  // namespace reflect
