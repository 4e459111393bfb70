// Teachers behind OpenAI-compatible HTTP endpoints.
#pragma once

#include <memory>

#include "recipes/openai_json.h"

namespace reflect {

class OpenAiTeacher : public Teacher {
 public:
  // `model`: its name at the endpoint. `template_name`: see OpenAiRequests. `seed` keys the jitter
  // of pauses. Throws Error (usage) for settings that make no sense.
  OpenAiTeacher(const EndpointConfig& config, const std::string& model,
                const std::string& template_name, std::uint64_t seed);

  std::string identity() const override { return requests_.identity(); }
  std::size_t capacity() const override { return client_.limit(); }
  std::size_t in_flight() const override { return client_.pending(); }
  void submit(std::uint64_t ticket, TeacherRequest request) override;
  std::vector<FinishedRequest> take(std::chrono::milliseconds wait) override;

  // Tries by reason, oddities of replies by name, and how often fewer requests were sent at once.
  std::map<std::string, std::int64_t> counts() const override;

 private:
  struct Asked {
    std::string begun;
    double tokens = 0;  // as estimated
    std::optional<TeacherReply> reply;
  };
  Judgement judge(const HttpReply& reply);

  EndpointConfig config_;
  OpenAiRequests requests_;
  bool has_key_;
  std::map<std::uint64_t, Asked> asked_;  // by ticket
  OddityCounts oddities_;
  PacedClient client_;
};

}  // namespace reflect
