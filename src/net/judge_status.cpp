#include "reflect/base/error.h"
#include "reflect/net/paced_client.h"

namespace reflect {
namespace {

constexpr std::size_t kMaxWords = 300;

bool may_succeed(int status) {
  return status == 408 || status == 409 || status == 425 || status == 429 || status >= 500;
}

Judgement judge_failure(const HttpReply& reply) {
  switch (reply.failure) {
    case HttpFailure::kTimeout:
      return {ReplyVerdict::kRetry, "timeout", reply.problem};
    case HttpFailure::kTooLarge:
      return {ReplyVerdict::kRetry, "too large", reply.problem};
    case HttpFailure::kHopeless:
      return {ReplyVerdict::kStop, "no connection", reply.problem};
    case HttpFailure::kConnection:
    case HttpFailure::kNone:
      break;
  }
  return {ReplyVerdict::kRetry, "connection", reply.problem};
}

}  // namespace

std::string server_words(std::string_view text) {
  std::string words;
  for (const char c : text) {
    const bool is_space = static_cast<unsigned char>(c) <= ' ' || c == 127;
    if (!is_space) {
      words += c;
    } else if (!words.empty() && words.back() != ' ') {
      words += ' ';
    }
    if (words.size() > kMaxWords) break;
  }
  if (words.size() > kMaxWords) {
    std::size_t end = kMaxWords;
    while (end > 0 && (static_cast<unsigned char>(words[end]) & 0xc0) == 0x80) --end;
    words.resize(end);
    words += "...";
  }
  while (words.ends_with(' ')) words.pop_back();
  return words;
}

Judgement judge_status(const HttpReply& reply) {
  if (reply.failure != HttpFailure::kNone) return judge_failure(reply);
  if (reply.status >= 200 && reply.status < 300) return {};
  const ReplyVerdict verdict =
      may_succeed(reply.status) ? ReplyVerdict::kRetry : ReplyVerdict::kStop;
  return {verdict, fmt::format("status {}", reply.status), server_words(reply.body)};
}

}  // namespace reflect
