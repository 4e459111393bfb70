// How much of a slow server's rate the HTTP client reaches, and what a request costs.
//
// Usage: client_bench URL REQUESTS IN_FLIGHT SECONDS_OF_SERVER    (bench/client_bench.sh runs it)
//
// Builds a chat request and parses the reply each time, as the teacher does. Prints a line of JSON.
#include <sys/resource.h>

#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "reflect/base/error.h"
#include "reflect/net/paced_client.h"

namespace {

using Json = nlohmann::json;

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

std::string body_of(std::uint64_t id) {
  const std::string problem = "Problem " + std::to_string(id) + ": " + std::string(500, 'x');
  const Json messages = {{{"role", "system"}, {"content", "Think step by step."}},
                         {{"role", "user"}, {"content", problem}}};
  return Json{{"model", "bench"}, {"messages", messages}, {"temperature", 0.7}, {"seed", id}}
      .dump();
}

// Asks for all replies, with as many under way as the client bears. Returns the bytes of text.
std::size_t ask_all(reflect::PacedClient& client, const std::string& url, std::uint64_t requests) {
  std::size_t bytes = 0;
  std::uint64_t next = 0;
  while (next < requests || client.pending() != 0) {
    for (; next < requests && client.pending() < client.limit(); ++next) {
      client.submit({next, url + "/chat/completions", body_of(next)});
    }
    for (const reflect::PacedReply& each : client.poll(std::chrono::milliseconds(500))) {
      const Json reply = Json::parse(each.reply.body);
      bytes += reply["choices"][0]["message"]["content"].get_ref<const std::string&>().size();
    }
  }
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    fmt::print(stderr, "usage: client_bench URL REQUESTS IN_FLIGHT SECONDS_OF_SERVER\n");
    return 2;
  }
  const std::uint64_t requests = std::strtoull(argv[2], nullptr, 10);
  reflect::PacingConfig pacing;
  pacing.max_in_flight = std::strtoll(argv[3], nullptr, 10);
  const double possible = static_cast<double>(pacing.max_in_flight) / std::strtod(argv[4], nullptr);
  reflect::PacedClient client({}, pacing, "", "reflect-bench", 1);
  const auto begin = std::chrono::steady_clock::now();
  const std::size_t bytes = ask_all(client, argv[1], requests);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  const double cpu = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
  const Json result = {
      {"requests", requests},
      {"seconds", elapsed.count()},
      {"share_of_rate", static_cast<double>(requests) / elapsed.count() / possible},
      {"cpu_us_per_request", cpu * 1e6 / static_cast<double>(requests)},
      {"peak_rss_mib", static_cast<double>(usage.ru_maxrss) / 1024},
      {"tried_again", client.counts().sent - client.counts().delivered},
      {"text_bytes", bytes}};
  fmt::print("{}\n", result.dump());
  return 0;
}
