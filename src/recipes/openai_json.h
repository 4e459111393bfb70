// What is said to OpenAI-compatible endpoints and what they answer, as JSON.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "reflect/data/record.h"
#include "reflect/net/paced_client.h"
#include "reflect/recipes/endpoint.h"
#include "reflect/recipes/teacher.h"

namespace reflect {

class OpenAiRequests {
 public:
  // Throws Error (usage) for `extra` that is no JSON object. `template_name`: how the endpoint
  // completions gets its text (auto: plain); the endpoint's server adds BOS itself.
  OpenAiRequests(const EndpointConfig& config, std::string model, const std::string& template_name);

  std::string url() const;
  std::string body(const TeacherRequest& request) const;
  // All that shapes replies besides the request; without the URL, so that a server may move.
  std::string identity() const;

 private:
  Json chat_fields(const TeacherRequest& request) const;
  Json completion_fields(const TeacherRequest& request) const;

  EndpointConfig config_;
  std::string model_;
  std::optional<ChatTemplate> chat_;  // of the endpoint completions
  Json extra_ = Json::object();
};

// What was unusual about replies, by name: "several choices", "no usage", "reasoning", "empty", ...
using OddityCounts = std::map<std::string, std::int64_t>;

// A judged reply. `reply` is set where the verdict is kDeliver.
struct OpenAiReply {
  Judgement judgement;
  std::optional<TeacherReply> reply;
};

// Reads the reply of either endpoint. A refusal, a content filter and a prompt that is too long are
// replies; other errors are judged by their status (that of the body, where a 200 holds an error).
// `begun` is cut off where the server repeats it.
OpenAiReply read_openai_reply(const HttpReply& http, const std::string& begun,
                              OddityCounts& oddities);

}  // namespace reflect
