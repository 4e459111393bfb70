// The teacher openai against a server that misbehaves on purpose.
#include "recipes/openai_teacher.h"

#include <stdlib.h>

#include <catch2/catch.hpp>

#include "net/fault_server.h"
#include "reflect/base/error.h"
#include "temp_folder.h"

namespace reflect {
namespace {

const std::string kKey = "sk-secret-987654321";

EndpointConfig endpoint(const std::string& url) {
  EndpointConfig config;
  config.url = url;
  config.pacing.attempts = 5;
  config.pacing.backoff = 0.02;
  config.pacing.max_backoff = 0.1;
  config.http.timeout = 5;
  return config;
}

TeacherRequest question(const std::string& text) {
  TeacherRequest request;
  request.messages = {{"user", text}};
  return request;
}

std::map<std::uint64_t, TeacherReply> all_replies(OpenAiTeacher& teacher) {
  std::map<std::uint64_t, TeacherReply> replies;
  while (teacher.in_flight() != 0) {
    for (FinishedRequest& finished : teacher.take(std::chrono::milliseconds(200))) {
      CHECK(replies.emplace(finished.ticket, std::move(finished.reply)).second);
    }
  }
  return replies;
}

std::string error_of(OpenAiTeacher& teacher) {
  teacher.submit(1, question("hi"));
  try {
    all_replies(teacher);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("every question gets its reply while the server misbehaves") {
  const FaultServer server;
  for (const std::string api : {"chat", "completions"}) {
    EndpointConfig config = endpoint(server.url("mixed:2"));
    config.api = api;
    OpenAiTeacher teacher(config, "small", "auto", 1);
    CHECK(teacher.capacity() == 64);
    for (std::uint64_t i = 0; i < 60; ++i) {
      teacher.submit(i, question("q" + std::to_string(i) + "."));
    }
    CHECK(teacher.in_flight() == 60);
    const auto replies = all_replies(teacher);
    REQUIRE(replies.size() == 60);
    for (const auto& [ticket, reply] : replies) {
      CHECK(reply.finish == ReplyFinish::kEnd);
      CHECK(reply.text.find("q" + std::to_string(ticket) + ".") != std::string::npos);
      CHECK(reply.prompt_tokens == 7);
      CHECK(reply.completion_tokens > 0);
    }
    CHECK(teacher.counts().contains("tried again: malformed reply"));
    CHECK(teacher.counts().contains("tried again: connection"));
  }
}

TEST_CASE("scripted refusals, cut and reasoned replies come through") {
  const TempFolder folder;
  write_file_atomic(
      folder / "script.jsonl",
      R"({"match": "cut", "replies": [{"content": "so", "finish_reason": "length"}]})"
      "\n"
      R"({"match": "no", "replies": [{"content": null, "message": {"refusal": "No."}}]})"
      "\n"
      R"({"match": "why", "replies": [{"content": "7", "message": {"reasoning": "3+4"}}]})"
      "\n");
  const FaultServer server({"--script", folder / "script.jsonl"});
  OpenAiTeacher teacher(endpoint(server.url()), "small", "auto", 1);
  teacher.submit(1, question("cut"));
  teacher.submit(2, question("no"));
  teacher.submit(3, question("why"));
  const auto replies = all_replies(teacher);
  CHECK(replies.at(1).finish == ReplyFinish::kLength);
  CHECK(replies.at(1).text == "so");
  CHECK(replies.at(2).finish == ReplyFinish::kRefusal);
  CHECK(replies.at(3).reasoning == "3+4");
  CHECK(teacher.counts().at("reply: reasoning") == 1);
  CHECK(teacher.counts().at("reply: empty") == 1);
}

TEST_CASE("one request that fails for good is a failed reply, the others go on") {
  const FaultServer server;
  OpenAiTeacher teacher(endpoint(server.url("400-context:9")), "small", "auto", 1);
  teacher.submit(1, question("long"));
  CHECK(all_replies(teacher).at(1).finish == ReplyFinish::kPromptTooLong);

  const TempFolder folder;
  write_file_atomic(folder / "script.jsonl",
                    R"({"match": "poison", "replies": [{"body": {"choices": []}}]})"
                    "\n");
  const FaultServer scripted({"--script", folder / "script.jsonl"});
  OpenAiTeacher other(endpoint(scripted.url()), "small", "auto", 1);
  for (std::uint64_t i = 0; i < 5; ++i) other.submit(i, question(i == 2 ? "poison" : "fine"));
  const auto replies = all_replies(other);
  REQUIRE(replies.size() == 5);
  CHECK(replies.at(2).finish == ReplyFinish::kFailed);
  CHECK(replies.at(2).may_succeed_later);
  CHECK(replies.at(2).attempts == 5);
  CHECK(replies.at(2).failure.starts_with("malformed reply"));
  CHECK(replies.at(4).text == "reply to fine");
}

TEST_CASE("the key comes from the environment and never out again") {
  const FaultServer server;
  ::setenv("REFLECT_TEST_KEY", kKey.c_str(), 1);
  EndpointConfig config = endpoint(server.url());
  config.key_env = "REFLECT_TEST_KEY";
  OpenAiTeacher teacher(config, "small", "auto", 1);
  teacher.submit(1, question("hi"));
  CHECK(all_replies(teacher).size() == 1);
  CHECK(server.told("requests").at(0).at("key") == "Bearer " + kKey);
  CHECK(teacher.identity().find(kKey) == std::string::npos);

  config.url = server.url("401-echo:9");
  OpenAiTeacher refused(config, "small", "auto", 1);
  const std::string error = error_of(refused);
  CHECK(error.find("status 401") != std::string::npos);
  CHECK(error.find("environment variable REFLECT_TEST_KEY") != std::string::npos);
  CHECK(error.find(kKey) == std::string::npos);

  ::unsetenv("REFLECT_TEST_KEY");
  CHECK_THROWS_AS(OpenAiTeacher(config, "small", "auto", 1), Error);
}

TEST_CASE("errors that never succeed say what to do") {
  const FaultServer server;
  ::unsetenv("OPENAI_API_KEY");
  OpenAiTeacher unknown(endpoint(server.url("404:9")), "small", "auto", 1);
  CHECK(error_of(unknown).find("check --teacher.url and --teacher.model") != std::string::npos);
  OpenAiTeacher keyless(endpoint(server.url("401:9")), "small", "auto", 1);
  CHECK(error_of(keyless).find("OPENAI_API_KEY, which is not set") != std::string::npos);
  OpenAiTeacher unpaid(endpoint(server.url("429-quota:9")), "small", "auto", 1);
  CHECK(error_of(unpaid).find("exceeded your current quota") != std::string::npos);
}

TEST_CASE("settings that make no sense are usage errors") {
  const auto refused = [](const EndpointConfig& config, const std::string& model) {
    try {
      OpenAiTeacher teacher(config, model, "auto", 1);
    } catch (const Error& error) {
      CHECK(error.exit_code() == ExitCode::kUsage);
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(refused(endpoint(""), "small").find("--teacher.url is missing") != std::string::npos);
  CHECK(refused(endpoint("localhost:8000"), "small").find("is not a URL") != std::string::npos);
  CHECK(refused(endpoint("http://h/v1/chat/completions"), "small").find("leave") !=
        std::string::npos);
  CHECK(refused(endpoint("http://h/v1"), "").find("--teacher.model") != std::string::npos);
  EndpointConfig config = endpoint("http://h/v1");
  config.extra = "no";
  CHECK(refused(config, "small").find("--teacher.extra") != std::string::npos);
}

}  // namespace
}  // namespace reflect
