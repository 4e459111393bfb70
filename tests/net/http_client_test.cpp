// The HTTP client against a real server on the loopback that misbehaves on purpose.
#include "reflect/net/http_client.h"

#include <catch2/catch.hpp>
#include <map>

#include "net/fault_server.h"
#include "reflect/base/error.h"
#include "temp_folder.h"

namespace reflect {
namespace {

using Json = nlohmann::json;

const std::string kKey = "sk-test-0123456789";

HttpConfig quick() {
  HttpConfig config;
  config.timeout = 5;
  config.low_speed_seconds = 0.6;
  config.low_speed_bytes = 10;
  config.max_reply_bytes = 1 << 20;
  return config;
}

std::string chat(const std::string& text) {
  return Json{{"messages", {{{"role", "user"}, {"content", text}}}}}.dump();
}

std::string content_of(const HttpReply& reply) {
  return Json::parse(reply.body)["choices"][0]["message"]["content"];
}

std::map<std::uint64_t, HttpReply> all_replies(HttpClient& client) {
  std::map<std::uint64_t, HttpReply> replies;
  while (client.in_flight() != 0) {
    for (HttpReply& reply : client.poll(std::chrono::milliseconds(100))) {
      CHECK(replies.emplace(reply.id, std::move(reply)).second);
    }
  }
  return replies;
}

HttpReply reply_from(HttpClient& client, const std::string& url) {
  client.start(7, url + "/chat/completions", chat("hi"));
  return all_replies(client).at(7);
}

TEST_CASE("a request is sent as JSON with its key, and the reply comes back under its id") {
  const FaultServer server;
  HttpClient client(quick(), kKey, "reflect-test");
  const HttpReply reply = reply_from(client, server.url());
  CHECK(reply.failure == HttpFailure::kNone);
  CHECK(reply.status == 200);
  CHECK(reply.header("content-type") == "application/json");
  CHECK(reply.header("x-missing").empty());
  CHECK(content_of(reply) == "reply to hi");
  CHECK(reply.seconds > 0);
  const Json seen = server.told("requests").at(0);
  CHECK(seen["key"] == "Bearer " + kKey);
  CHECK(seen["type"] == "application/json");
  CHECK(seen["body"] == chat("hi"));
}

TEST_CASE("connections are kept for later requests") {
  const FaultServer server;
  HttpClient client(quick(), "", "reflect-test");
  for (int i = 0; i < 10; ++i) CHECK(reply_from(client, server.url()).status == 200);
  CHECK(server.told("stats")["connections"] == 2);  // one is that of told()
}

TEST_CASE("a hundred requests are under way at once") {
  const FaultServer server({"--delay", "0.5"});
  HttpClient client(quick(), "", "reflect-test");
  for (std::uint64_t i = 0; i < 100; ++i) {
    client.start(i, server.url() + "/chat/completions", chat(std::to_string(i)));
  }
  CHECK(client.in_flight() == 100);
  for (const auto& [id, reply] : all_replies(client)) {
    CHECK(content_of(reply) == "reply to " + std::to_string(id));
  }
  CHECK(server.told("stats")["max_in_flight"] == 100);
}

TEST_CASE("a reply that is odd but whole is taken") {
  const FaultServer server;
  HttpClient client(quick(), "", "reflect-test");
  for (const char* fault : {"http10", "drop", "chunked", "slow", "late-headers", "wrong-type"}) {
    INFO(fault);
    for (int i = 0; i < 2; ++i) {
      const HttpReply reply = reply_from(client, server.url(std::string(fault) + ":9"));
      CHECK(reply.failure == HttpFailure::kNone);
      CHECK(content_of(reply) == "reply to hi");
    }
  }
}

TEST_CASE("what goes wrong has its kind and its words") {
  const FaultServer server;
  HttpClient client(quick(), kKey, "reflect-test");
  const auto fails = [&](const std::string& fault, HttpFailure expected) {
    INFO(fault);
    const HttpReply reply = reply_from(client, server.url(fault + ":9"));
    CHECK(reply.failure == expected);
    CHECK_FALSE(reply.problem.empty());
  };
  for (const char* fault : {"reset", "close", "reset-mid", "close-mid", "not-http"}) {
    fails(fault, HttpFailure::kConnection);
  }
  for (const char* fault : {"huge", "huge-no-length", "endless-headers"}) {
    fails(fault, HttpFailure::kTooLarge);
  }
  fails("stall-mid", HttpFailure::kTimeout);
  fails("trickle", HttpFailure::kTimeout);
  CHECK(reply_from(client, "http://no-such-host.invalid/v1").failure == HttpFailure::kConnection);
  CHECK(reply_from(client, "http://127.0.0.1:1/v1").failure == HttpFailure::kConnection);
  CHECK(reply_from(client, "http://a b").failure == HttpFailure::kHopeless);
}

TEST_CASE("a server that thinks for long is waited for, up to the time-out") {
  const FaultServer server;
  HttpConfig config = quick();
  config.timeout = 1.2;
  HttpClient client(config, "", "reflect-test");
  const HttpReply reply = reply_from(client, server.url("stall"));
  CHECK(reply.failure == HttpFailure::kTimeout);
  CHECK(reply.seconds >= 1.1);  // not the low-speed limit of 0.6
}

TEST_CASE("a redirect is not followed") {
  const FaultServer server;
  HttpClient client(quick(), kKey, "reflect-test");
  CHECK(reply_from(client, server.url("redirect")).status == 307);
}

TEST_CASE("a key that a server repeats is not passed on") {
  const FaultServer server;
  HttpClient client(quick(), kKey, "reflect-test");
  const HttpReply reply = reply_from(client, server.url("401-echo"));
  CHECK(reply.status == 401);
  CHECK(reply.body.find(kKey) == std::string::npos);
  CHECK(reply.body.find("Bearer [key]") != std::string::npos);
}

TEST_CASE("certificates are verified") {
  const TempFolder folder;
  const FaultServer server({"--tls", folder.path()});
  HttpClient strict(quick(), "", "reflect-test");
  const HttpReply refused = reply_from(strict, server.url("", "https"));
  CHECK(refused.failure == HttpFailure::kHopeless);
  CHECK(refused.problem.find("certificate") != std::string::npos);

  HttpConfig config = quick();
  config.ca_file = folder / "cert.pem";
  HttpClient trusting(config, "", "reflect-test");
  CHECK(content_of(reply_from(trusting, server.url("", "https"))) == "reply to hi");
  for (const char* fault : {"reset", "reset-mid", "close-mid"}) {
    INFO(fault);
    const std::string url = server.url(std::string(fault) + ":9", "https");
    CHECK(reply_from(trusting, url).failure == HttpFailure::kConnection);
  }
  CHECK(content_of(reply_from(trusting, server.url("", "https"))) == "reply to hi");

  const std::string dropping = server.url("drop:99", "https");
  for (int i = 0; i < 5; ++i) {  // written to a closed connection: no SIGPIPE
    trusting.start(1, dropping + "/chat/completions", chat(std::string(100'000, 'x')));
    trusting.start(2, dropping + "/chat/completions", chat("hi"));
    CHECK(all_replies(trusting).size() == 2);
  }

  config.ca_file = folder / "missing.pem";
  CHECK_THROWS_AS(HttpClient(config, "", "reflect-test"), Error);
}

TEST_CASE("proxy variables are honoured") {
  const FaultServer server;
  const std::string url = server.url();
  ::setenv("http_proxy", url.substr(0, url.size() - 3).c_str(), 1);
  HttpClient client(quick(), "", "reflect-test");
  const HttpReply reply = reply_from(client, "http://model.invalid/v1");
  ::unsetenv("http_proxy");
  CHECK(content_of(reply) == "reply to hi");
  CHECK(server.told("requests").at(0)["proxied"] == true);
}

TEST_CASE("settings, keys and URLs that make no sense are refused") {
  HttpConfig config;
  config.timeout = 0;
  CHECK_THROWS_AS(HttpClient(config, "", "test"), Error);
  CHECK_THROWS_AS(HttpClient({}, "two\nlines", "test"), Error);
  for (const char* url : {"", "localhost:80", "ftp://host/v1", "http://", "http://a b/",
                          "http://user:word@host/v1", "https://host/v1?key=1"}) {
    INFO(url);
    CHECK_THROWS_AS(check_url(url, "--teacher.url"), Error);
  }
  CHECK_NOTHROW(check_url("http://127.0.0.1:8000/v1", "--teacher.url"));
  CHECK_NOTHROW(check_url("https://host", "--teacher.url"));
}

}  // namespace
}  // namespace reflect
