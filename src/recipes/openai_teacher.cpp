#include "recipes/openai_teacher.h"

#include <cstdlib>

#include "reflect/base/error.h"
#include "reflect/base/log.h"

namespace reflect {
namespace {

constexpr std::string_view kOpenaiOp = "teacher";
constexpr double kBytesOfToken = 4;

const EndpointConfig& checked(const EndpointConfig& config, const std::string& model) {
  if (config.url.empty()) {
    fail_usage(kOpenaiOp,
               "--teacher.url is missing: the endpoint of the teacher openai, such as "
               "http://127.0.0.1:8000/v1");
  }
  check_url(config.url, "--teacher.url");
  if (config.url.ends_with("/completions") || config.url.ends_with("/completions/")) {
    fail_usage(kOpenaiOp, "--teacher.url {} names the API itself; leave /chat/completions off",
               config.url);
  }
  if (model.empty()) {
    fail_usage(kOpenaiOp, "--teacher.model is missing: the model's name at {}", config.url);
  }
  return config;
}

// The key; empty where the variable of that name is the default one and not set.
std::string key_of(const EndpointConfig& config) {
  const char* key = std::getenv(config.key_env.c_str());
  if (key != nullptr && *key != '\0') return key;
  if (!config.key_env.empty() && config.key_env != EndpointConfig().key_env) {
    fail_usage(kOpenaiOp, "--teacher.key-env names {}, which is not set", config.key_env);
  }
  return "";
}

void warn_of_open_key(const std::string& url) {
  const bool is_local = url.starts_with("http://127.") || url.starts_with("http://localhost") ||
                        url.starts_with("http://[::1]");
  if (url.starts_with("http://") && !is_local) {
    log_warn("{}: the key goes over the network unencrypted", url);
  }
}

double estimated_tokens(const TeacherRequest& request) {
  double bytes = static_cast<double>(request.begun.size());
  for (const Message& message : request.messages) {
    bytes += static_cast<double>(message.content.size());
  }
  return bytes / kBytesOfToken + static_cast<double>(request.sampling.max_new_tokens);
}

}  // namespace

OpenAiTeacher::OpenAiTeacher(const EndpointConfig& config, const std::string& model,
                             const std::string& template_name, std::uint64_t seed)
    : config_(checked(config, model)),
      requests_(config, model, template_name),
      has_key_(!key_of(config).empty()),
      client_(config.http, config.pacing, key_of(config), "reflect-gen/" REFLECT_VERSION, seed,
              [this](const HttpReply& reply) { return judge(reply); }) {
  if (has_key_) warn_of_open_key(config.url);
}

void OpenAiTeacher::submit(std::uint64_t ticket, TeacherRequest request) {
  const double tokens = estimated_tokens(request);
  client_.submit({ticket, requests_.url(), requests_.body(request), tokens});
  asked_[ticket] = {std::move(request.begun), tokens, std::nullopt};
}

Judgement OpenAiTeacher::judge(const HttpReply& http) {
  Asked& asked = asked_.at(http.id);
  OpenAiReply result = read_openai_reply(http, asked.begun, oddities_);
  asked.reply = std::move(result.reply);
  Judgement& judgement = result.judgement;
  if (judgement.verdict != ReplyVerdict::kStop) return std::move(judgement);
  if (http.status == 401 || http.status == 403) {
    judgement.words += fmt::format("; the key is that of the environment variable {}{}",
                                   config_.key_env, has_key_ ? "" : ", which is not set");
  } else if (http.status == 404) {
    judgement.words += "; check --teacher.url and --teacher.model";
  }
  return std::move(judgement);
}

std::vector<FinishedRequest> OpenAiTeacher::take(std::chrono::milliseconds wait) {
  std::vector<FinishedRequest> finished;
  for (const PacedReply& paced : client_.poll(wait)) {
    auto asked = asked_.extract(paced.reply.id);
    TeacherReply reply;
    if (paced.gave_up) {
      reply.finish = ReplyFinish::kFailed;
      reply.failure = paced.last_fault;
      reply.may_succeed_later = true;
    } else {
      reply = std::move(*asked.mapped().reply);
      const std::int64_t spent = reply.prompt_tokens + reply.completion_tokens;
      if (spent != 0) client_.correct_tokens(static_cast<double>(spent) - asked.mapped().tokens);
    }
    reply.attempts = paced.attempts;
    finished.push_back({asked.key(), std::move(reply)});
  }
  return finished;
}

std::map<std::string, std::int64_t> OpenAiTeacher::counts() const {
  const PacingCounts pacing = client_.counts();
  std::map<std::string, std::int64_t> counts;
  for (const auto& [name, count] : oddities_) counts["reply: " + name] = count;
  for (const auto& [reason, count] : pacing.retries) counts["tried again: " + reason] = count;
  if (pacing.gave_up != 0) counts["given up"] = pacing.gave_up;
  if (pacing.decreases != 0) counts["fewer at once"] = pacing.decreases;
  return counts;
}

}  // namespace reflect
