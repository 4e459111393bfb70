// What OpenAI-compatible endpoints are told and what is read from their replies.
#include "recipes/openai_json.h"

#include <catch2/catch.hpp>

#include "reflect/base/error.h"

namespace reflect {
namespace {

TeacherRequest question() {
  TeacherRequest request;
  request.messages = {{"system", "Think."}, {"user", "1 + 1?\n\"\u00e9\""}};
  request.sampling.max_new_tokens = 64;
  request.sampling.temperature = 0.5;
  request.seed = 0xffff'ffff'0000'0005;
  return request;
}

Json body_of(const EndpointConfig& config, const TeacherRequest& request,
             const std::string& chat = "auto") {
  return Json::parse(OpenAiRequests(config, "small", chat).body(request));
}

HttpReply http(int status, const std::string& body) {
  HttpReply reply;
  reply.status = status;
  reply.body = body;
  return reply;
}

OpenAiReply read(const HttpReply& reply, const std::string& begun = "") {
  OddityCounts ignored;
  return read_openai_reply(reply, begun, ignored);
}

// A chat completion with this choice.
HttpReply chat_with(const std::string& choice, const std::string& more = "") {
  return http(200, R"({"id": "x", "choices": [)" + choice + "]" + more + "}");
}

TEST_CASE("a chat request holds the messages and the settings that differ from no setting") {
  EndpointConfig config;
  config.url = "http://host/v1/";
  CHECK(OpenAiRequests(config, "small", "auto").url() == "http://host/v1/chat/completions");
  TeacherRequest request = question();
  CHECK(body_of(config, request) == Json::parse(R"({"model": "small", "messages": [
      {"role": "system", "content": "Think."}, {"role": "user", "content": "1 + 1?\n\"é\""}],
      "max_tokens": 64, "temperature": 0.5, "seed": 5})"));

  request.sampling.top_p = 0.9;
  request.sampling.top_k = 20;
  request.sampling.stop = {"END"};
  config.max_tokens_field = "max_completion_tokens";
  config.omit = {"temperature", "seed"};
  config.extra = R"({"reasoning_effort": "low", "top_k": 5})";
  const Json body = body_of(config, request);
  CHECK(body.at("max_completion_tokens") == 64);
  CHECK(body.at("top_p") == 0.9);
  CHECK(body.at("top_k") == 5);
  CHECK(body.at("stop") == Json({"END"}));
  CHECK(body.at("reasoning_effort") == "low");
  CHECK_FALSE(body.contains("temperature"));
  CHECK_FALSE(body.contains("seed"));

  config.extra = "[1]";
  CHECK_THROWS_AS(body_of(config, request), Error);
}

TEST_CASE("an answer that has begun is gone on with") {
  EndpointConfig config;
  TeacherRequest request = question();
  request.begun = "<thinking>\n";
  Json body = body_of(config, request);
  CHECK(body.at("messages").size() == 3);
  CHECK(body.at("messages").back() == Json({{"role", "assistant"}, {"content", "<thinking>\n"}}));
  CHECK(body.at("continue_final_message") == true);
  CHECK(body.at("add_generation_prompt") == false);
  config.begun = "prefill";
  body = body_of(config, request);
  CHECK(body.at("messages").size() == 3);
  CHECK_FALSE(body.contains("continue_final_message"));
}

TEST_CASE("a completions request holds the chat template's text without BOS") {
  EndpointConfig config;
  config.url = "http://host/v1";
  config.api = "completions";
  TeacherRequest request = question();
  request.begun = "<thinking>\n";
  CHECK(OpenAiRequests(config, "small", "auto").url() == "http://host/v1/completions");
  const Json body = body_of(config, request, "llama3");
  const std::string prompt = body.at("prompt");
  CHECK(prompt.starts_with("<|start_header_id|>system"));
  CHECK(prompt.ends_with("assistant<|end_header_id|>\n\n<thinking>\n"));
  CHECK_FALSE(body.contains("messages"));
  CHECK(body_of(config, request).at("prompt").get<std::string>().find("1 + 1?") !=
        std::string::npos);
}

TEST_CASE("the identity tells apart what shapes replies, and holds no address") {
  EndpointConfig config;
  config.url = "http://host/v1";
  const std::string first = OpenAiRequests(config, "small", "auto").identity();
  CHECK(first.find("host") == std::string::npos);
  config.url = "http://other/v1";
  CHECK(OpenAiRequests(config, "small", "auto").identity() == first);
  CHECK(OpenAiRequests(config, "large", "auto").identity() != first);
  config.extra = R"({"top_k": 5})";
  CHECK(OpenAiRequests(config, "small", "auto").identity() != first);
}

TEST_CASE("text, tokens and the way a reply ends are read") {
  const auto finish_of = [](const std::string& rest) {
    const OpenAiReply result =
        read(chat_with(R"({"message": {"content": "hi"}, "finish_reason": )" + rest + "}"));
    REQUIRE(result.reply);
    CHECK(result.judgement.verdict == ReplyVerdict::kDeliver);
    CHECK(result.reply->text == "hi");
    return result.reply->finish;
  };
  CHECK(finish_of(R"("stop")") == ReplyFinish::kEnd);
  CHECK(finish_of(R"("stop", "stop_reason": null)") == ReplyFinish::kEnd);
  CHECK(finish_of(R"("stop", "stop_reason": "END")") == ReplyFinish::kStop);
  CHECK(finish_of(R"("stop", "stop_reason": 128009)") == ReplyFinish::kEnd);
  CHECK(finish_of(R"("stop", "matched_stop": "END")") == ReplyFinish::kStop);
  CHECK(finish_of(R"("length")") == ReplyFinish::kLength);
  CHECK(finish_of(R"("content_filter")") == ReplyFinish::kRefusal);
  CHECK(finish_of("null") == ReplyFinish::kEnd);
  CHECK(finish_of(R"("something new")") == ReplyFinish::kEnd);

  const OpenAiReply result =
      read(http(200, R"({"choices": [{"text": "hi", "finish_reason": "stop", "logprobs": null}],
               "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5,
                         "completion_tokens_details": {"reasoning_tokens": 1}},
               "kv_transfer_params": null})"));
  REQUIRE(result.reply);
  CHECK(result.reply->text == "hi");
  CHECK(result.reply->prompt_tokens == 3);
  CHECK(result.reply->completion_tokens == 2);
}

TEST_CASE("what is unusual is handled and counted") {
  OddityCounts oddities;
  const auto reply_to = [&](const std::string& choice, const std::string& more = "") {
    const OpenAiReply result = read_openai_reply(chat_with(choice, more), "<go>", oddities);
    REQUIRE(result.reply);
    return *result.reply;
  };
  const std::string usage = R"(, "usage": {"prompt_tokens": 1, "completion_tokens": 1})";
  CHECK(reply_to(R"({"message": {"content": null}, "finish_reason": "stop"})").text.empty());
  CHECK(oddities == OddityCounts{{"empty", 1}, {"no usage", 1}});

  oddities.clear();
  const TeacherReply refused = reply_to(
      R"({"message": {"content": null, "refusal": "I cannot.\n"}, "finish_reason": "stop"})",
      usage);
  CHECK(refused.finish == ReplyFinish::kRefusal);
  CHECK(refused.failure == "I cannot.");

  for (const std::string name : {"reasoning_content", "reasoning"}) {
    const std::string both = R"("content": "7", ")" + name + R"(": "3 + 4")";
    oddities.clear();
    const TeacherReply reply =
        reply_to(R"({"message": {)" + both + R"(}, "finish_reason": "stop"})", usage);
    CHECK(reply.text == "7");
    CHECK(reply.reasoning == "3 + 4");
    CHECK(oddities == OddityCounts{{"reasoning", 1}});
  }

  oddities.clear();
  CHECK(reply_to(R"({"index": 1, "message": {"content": "b"}, "finish_reason": "stop"},
                    {"index": 0, "message": {"content": "a"}, "finish_reason": "stop"})",
                 usage)
            .text == "a");
  CHECK(oddities == OddityCounts{{"several choices", 1}});

  oddities.clear();
  CHECK(reply_to(R"({"message": {"content": [{"type": "text", "text": "a"}, {"type": "image"},
                     {"type": "text", "text": "b"}]}, "finish_reason": "tool_calls"})",
                 usage)
            .text == "ab");
  CHECK(oddities == OddityCounts{{"finish_reason tool_calls", 1}});

  oddities.clear();
  CHECK(reply_to(R"({"message": {"content": "<go> on"}, "finish_reason": "stop"})", usage).text ==
        " on");
  CHECK(oddities == OddityCounts{{"repeated the beginning", 1}});
}

TEST_CASE("a reply that is no reply is asked for again") {
  const auto retries = [](const HttpReply& reply, const std::string& reason) {
    INFO(reply.body);
    const OpenAiReply result = read(reply);
    CHECK_FALSE(result.reply);
    CHECK(result.judgement.verdict == ReplyVerdict::kRetry);
    CHECK(result.judgement.reason == reason);
  };
  for (const char* body :
       {"", "<html>", "null", "[]", "7", "{}", R"({"choices": []})", R"({"choices": {}})",
        R"({"choices": [null]})", R"({"choices": [7]})", R"({"choices": [{}]})",
        R"({"choices": [{"message": "hi"}]})", R"({"choices": [{"message": {"content": "x)",
        "{\"choices\": [{\"text\": \"\xff\"}]}"}) {
    retries(http(200, body), "malformed reply");
  }
  retries(http(200, std::string(100000, '[')), "malformed reply");
  retries(http(200, R"({"error": {"message": "overloaded", "code": 502}})"), "status 502");
  retries(http(200, R"({"error": "overloaded"})"), "error in a 200");
  retries(chat_with(R"({"error": {"message": "worker died"}, "message": {"content": ""}})"),
          "error in a choice");
  retries(http(429, R"({"error": {"message": "slow down"}})"), "status 429");
  HttpReply late;
  late.failure = HttpFailure::kTimeout;
  retries(late, "timeout");
}

TEST_CASE("errors of one request are its reply, errors of all requests stop with the words") {
  const auto finish_of = [](int status, const std::string& body) {
    const OpenAiReply result = read(http(status, body));
    REQUIRE(result.reply);
    CHECK_FALSE(result.reply->failure.empty());
    return result.reply->finish;
  };
  CHECK(finish_of(400, R"({"error": {"message": "long", "code": "context_length_exceeded"}})") ==
        ReplyFinish::kPromptTooLong);
  CHECK(finish_of(400, R"({"object": "error", "code": 400, "message":
                           "This model's maximum context length is 512 tokens."})") ==
        ReplyFinish::kPromptTooLong);
  CHECK(finish_of(413, R"({"detail": "too large"})") == ReplyFinish::kPromptTooLong);
  CHECK(finish_of(400, R"({"error": {"message": "filtered", "code": "content_filter"}})") ==
        ReplyFinish::kRefusal);

  const auto stops = [](int status, const std::string& body, const std::string& words) {
    const OpenAiReply result = read(http(status, body));
    CHECK_FALSE(result.reply);
    CHECK(result.judgement.verdict == ReplyVerdict::kStop);
    CHECK(result.judgement.words == words);
  };
  stops(401, R"({"error": {"message": "wrong\nkey", "code": "invalid_api_key"}})", "wrong key");
  stops(400, R"({"error": {"message": "unknown field seed"}})", "unknown field seed");
  stops(404, R"({"detail": "Not Found"})", "Not Found");
  stops(422, R"({"detail": [{"loc": ["body"]}]})", R"([{"loc":["body"]}])");
  stops(403, "<b>no</b>", "<b>no</b>");
  stops(429, R"({"error": {"message": "pay first", "code": "insufficient_quota"}})", "pay first");
  stops(200, R"({"error": {"message": "no such model", "code": 404}})", "no such model");
}

}  // namespace
}  // namespace reflect
