#include "net/rate_headers.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>

namespace reflect {
namespace {

// Reads a number at the front of `text` and removes it.
std::optional<double> take_amount(std::string_view& text) {
  double value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc() || !std::isfinite(value) || value < 0) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

// The seconds of the unit at the front of `text`, which is removed.
std::optional<double> take_unit(std::string_view& text) {
  struct Unit {
    std::string_view name;
    double seconds;
  };
  for (const Unit& unit : {Unit{"ms", 1e-3}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}}) {
    if (!text.starts_with(unit.name)) continue;
    text.remove_prefix(unit.name.size());
    return unit.seconds;
  }
  return std::nullopt;
}

std::optional<double> number_of(std::string_view text) {
  const std::optional<double> value = take_amount(text);
  return text.empty() ? value : std::nullopt;
}

std::optional<double> retry_after_of(const HttpReply& reply, std::time_t now) {
  if (const auto milliseconds = number_of(reply.header("retry-after-ms"))) {
    return *milliseconds / 1e3;
  }
  const std::string text(reply.header("retry-after"));
  if (text.empty()) return std::nullopt;
  if (const auto seconds = number_of(text)) return seconds;
  const std::time_t date = curl_getdate(text.c_str(), nullptr);
  if (date < 0) return std::nullopt;
  return std::max(0.0, std::difftime(date, now));
}

}  // namespace

std::optional<double> seconds_until_reset(std::string_view text, std::time_t now) {
  if (const auto number = number_of(text)) {
    const double epoch = *number > 1e11 ? *number / 1e3 : *number;  // milliseconds
    return epoch > 1e9 ? std::max(0.0, epoch - static_cast<double>(now)) : epoch;
  }
  double sum = 0;
  do {
    const auto number = take_amount(text);
    const auto unit = number ? take_unit(text) : std::nullopt;
    if (!unit) return std::nullopt;
    sum += *number * *unit;
  } while (!text.empty());
  return sum;
}

RateSigns rate_signs(const HttpReply& reply, std::time_t now) {
  RateSigns signs;
  signs.retry_after = retry_after_of(reply, now);
  const auto requests_reset = [&](std::string_view remaining, std::string_view reset) {
    if (number_of(reply.header(remaining)) != 0.0) return;
    signs.requests_reset = seconds_until_reset(reply.header(reset), now);
  };
  requests_reset("x-ratelimit-remaining", "x-ratelimit-reset");
  requests_reset("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests");
  signs.remaining_tokens = number_of(reply.header("x-ratelimit-remaining-tokens"));
  signs.tokens_reset = seconds_until_reset(reply.header("x-ratelimit-reset-tokens"), now);
  return signs;
}

}  // namespace reflect
