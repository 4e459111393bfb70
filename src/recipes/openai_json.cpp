#include "recipes/openai_json.h"

#include <algorithm>

#include "reflect/base/error.h"

namespace reflect {
namespace {

constexpr std::string_view kReplyOp = "teacher";
constexpr std::uint64_t kSeedMask = 0x7fffffff;  // what every server takes

// A member of an object; null where there is none.
const Json& at(const Json& object, const char* name) {
  static const Json null;
  if (!object.is_object()) return null;
  const auto found = object.find(name);
  return found == object.end() ? null : *found;
}

std::string text_of(const Json& value) {
  return value.is_string() ? value.get<std::string>() : std::string();
}

// Content is a text, or a list of parts of which those with text count.
std::string content_of(const Json& content) {
  if (!content.is_array()) return text_of(content);
  std::string text;
  for (const Json& part : content) text += text_of(at(part, "text"));
  return text;
}

std::int64_t count_of(const Json& value) {
  return value.is_number_integer() ? std::max<std::int64_t>(0, value.get<std::int64_t>()) : 0;
}

// An error as OpenAI ({"error": {message, code}}), vLLM before 0.9 ({message, code}), FastAPI
// ({"detail": ...}) and others write it.
struct ServerError {
  std::string message, code;
  int status = 0;  // that the body names
};

ServerError error_of(const Json& body) {
  const Json& nested = at(body, "error");
  const Json& error = nested.is_object() ? nested : body;
  ServerError result;
  result.message = text_of(at(error, "message"));
  if (result.message.empty()) result.message = text_of(nested);
  const Json& detail = at(body, "detail");
  if (result.message.empty() && !detail.is_null()) {
    result.message = detail.is_string()
                         ? text_of(detail)
                         : detail.dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  const Json& code = at(error, "code");
  result.code = text_of(code);
  if (code.is_number_integer()) result.status = static_cast<int>(code.get<std::int64_t>());
  return result;
}

bool holds(std::string_view text, std::string_view part) {
  return text.find(part) != text.npos;
}

bool is_prompt_too_long(int status, const ServerError& error) {
  if (status == 413) return true;
  if (status != 400 && status != 422) return false;
  return error.code == "context_length_exceeded" || error.code == "string_above_max_length" ||
         holds(error.message, "context length") || holds(error.message, "context size") ||
         holds(error.message, "context window");
}

OpenAiReply delivered(ReplyFinish finish, std::string words) {
  OpenAiReply result;
  result.reply.emplace();
  result.reply->finish = finish;
  result.reply->failure = std::move(words);
  return result;
}

OpenAiReply retried(std::string reason, std::string words = "") {
  return {{ReplyVerdict::kRetry, std::move(reason), std::move(words)}, std::nullopt};
}

OpenAiReply judged_error(const HttpReply& http, const Json& body) {
  const ServerError error = error_of(body);
  HttpReply judged = http;
  if (http.status < 300 && error.status >= 400) judged.status = error.status;
  Judgement judgement = judge_status(judged);
  if (judgement.verdict == ReplyVerdict::kDeliver)
    judgement = {ReplyVerdict::kRetry, "error in a 200", ""};
  if (!error.message.empty()) judgement.words = server_words(error.message);
  if (is_prompt_too_long(judged.status, error)) {
    return delivered(ReplyFinish::kPromptTooLong, judgement.words);
  }
  if (judged.status == 400 && error.code == "content_filter") {
    return delivered(ReplyFinish::kRefusal, judgement.words);
  }
  if (error.code == "insufficient_quota") judgement.verdict = ReplyVerdict::kStop;
  return {std::move(judgement), std::nullopt};
}

// The choice with index 0, or the first one.
const Json& first_choice(const Json& choices) {
  const auto found =
      std::ranges::find_if(choices, [](const Json& choice) { return at(choice, "index") == 0; });
  return found == choices.end() ? choices.front() : *found;
}

ReplyFinish finish_of(const Json& choice, const std::string& refusal, OddityCounts& oddities) {
  const std::string reason = text_of(at(choice, "finish_reason"));
  if (!refusal.empty() || reason == "content_filter") return ReplyFinish::kRefusal;
  if (reason == "length") return ReplyFinish::kLength;
  if (reason != "stop" && reason != "eos")
    ++oddities["finish_reason " + (reason.empty() ? "null" : server_words(reason))];
  // vLLM and SGLang name the stop string that ended the text.
  const bool by_string =
      at(choice, "stop_reason").is_string() || at(choice, "matched_stop").is_string();
  return by_string ? ReplyFinish::kStop : ReplyFinish::kEnd;
}

void read_usage(const Json& usage, TeacherReply& reply, OddityCounts& oddities) {
  if (!usage.is_object()) ++oddities["no usage"];
  reply.prompt_tokens = count_of(at(usage, "prompt_tokens"));
  reply.completion_tokens = count_of(at(usage, "completion_tokens"));
}

}  // namespace

OpenAiRequests::OpenAiRequests(const EndpointConfig& config, std::string model,
                               const std::string& template_name)
    : config_(config), model_(std::move(model)) {
  if (config_.api == "completions") {
    chat_ = ChatTemplate::named(template_name == "auto" ? "plain" : template_name);
  }
  while (config_.url.ends_with('/')) config_.url.pop_back();
  if (config_.extra.empty()) return;
  extra_ = Json::parse(config_.extra, nullptr, false);
  if (!extra_.is_object()) {
    fail_usage(kReplyOp, "--teacher.extra '{}' is not a JSON object like {{\"top_k\": 20}}",
               config_.extra);
  }
}

std::string OpenAiRequests::url() const {
  return config_.url + (chat_ ? "/completions" : "/chat/completions");
}

Json OpenAiRequests::chat_fields(const TeacherRequest& request) const {
  Json fields = {{"model", model_}, {"messages", Json::array()}};
  for (const Message& message : request.messages) {
    fields["messages"].push_back({{"role", message.role}, {"content", message.content}});
  }
  if (request.begun.empty()) return fields;
  fields["messages"].push_back({{"role", "assistant"}, {"content", request.begun}});
  if (config_.begun == "continue") {
    fields["continue_final_message"] = true;
    fields["add_generation_prompt"] = false;
  }
  return fields;
}

Json OpenAiRequests::completion_fields(const TeacherRequest& request) const {
  std::string prompt;
  for (const ChatPiece& piece :
       chat_->render(request.messages, {.add_generation_prompt = true, .date = {}})) {
    if (piece.kind != ChatPiece::Kind::kBos) prompt += piece.text;
  }
  return {{"model", model_}, {"prompt", prompt + request.begun}};
}

std::string OpenAiRequests::body(const TeacherRequest& request) const {
  Json fields = chat_ ? completion_fields(request) : chat_fields(request);
  const SamplingConfig& sampling = request.sampling;
  fields[config_.max_tokens_field] = sampling.max_new_tokens;
  fields["temperature"] = sampling.temperature;
  if (sampling.top_p != 1) fields["top_p"] = sampling.top_p;
  if (sampling.top_k != 0) fields["top_k"] = sampling.top_k;
  if (sampling.min_p != 0) fields["min_p"] = sampling.min_p;
  if (sampling.repetition_penalty != 1) fields["repetition_penalty"] = sampling.repetition_penalty;
  std::vector<std::string> stop = sampling.stop;
  if (chat_) {
    for (const std::string& end : chat_->end_of_turn()) stop.push_back(end);
  }
  if (!stop.empty()) fields["stop"] = stop;
  fields["seed"] = request.seed & kSeedMask;
  for (const auto& [name, value] : extra_.items()) fields[name] = value;
  for (const std::string& name : config_.omit) fields.erase(name);
  return fields.dump();
}

std::string OpenAiRequests::identity() const {
  return fmt::format("openai api={} model={} template={} begun={} omit={} extra={}", config_.api,
                     model_, chat_ ? chat_->name() : "", config_.begun,
                     fmt::join(config_.omit, ","), extra_.dump());
}

OpenAiReply read_openai_reply(const HttpReply& http, const std::string& begun,
                              OddityCounts& oddities) {
  if (http.failure != HttpFailure::kNone) return {judge_status(http), std::nullopt};
  const Json body = Json::parse(http.body, nullptr, false);
  if (http.status < 200 || http.status >= 300) return judged_error(http, body);
  const Json& choices = at(body, "choices");
  if (!choices.is_array() || choices.empty()) {
    if (!at(body, "error").is_null()) return judged_error(http, body);
    return retried("malformed reply", server_words(http.body));
  }
  const Json& choice = first_choice(choices);
  const Json& message = at(choice, "message");
  const Json& error = at(choice, "error");
  if (!error.is_null()) return retried("error in a choice", server_words(error_of(choice).message));
  if (!message.is_object() && !at(choice, "text").is_string()) {
    return retried("malformed reply", server_words(http.body));
  }
  if (choices.size() > 1) ++oddities["several choices"];

  OpenAiReply result;
  TeacherReply& reply = result.reply.emplace();
  const std::string refusal = text_of(at(message, "refusal"));
  reply.text = message.is_object() ? content_of(at(message, "content")) : text_of(choice["text"]);
  for (const char* name : {"reasoning_content", "reasoning"}) {
    if (reply.reasoning.empty()) reply.reasoning = text_of(at(message, name));
  }
  reply.finish = finish_of(choice, refusal, oddities);
  if (reply.finish == ReplyFinish::kRefusal) reply.failure = server_words(refusal);
  if (!begun.empty() && reply.text.starts_with(begun)) {
    ++oddities["repeated the beginning"];
    reply.text.erase(0, begun.size());
  }
  if (reply.text.empty()) ++oddities["empty"];
  if (!reply.reasoning.empty()) ++oddities["reasoning"];
  read_usage(at(body, "usage"), reply, oddities);
  return result;
}

}  // namespace reflect
