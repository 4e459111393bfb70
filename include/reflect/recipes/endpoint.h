// Settings of a teacher behind an OpenAI-compatible HTTP endpoint.
#pragma once

#include <string>
#include <vector>

#include "reflect/net/paced_client.h"

namespace reflect {

struct EndpointConfig {
  std::string url;
  std::string api = "chat";
  std::string key_env = "OPENAI_API_KEY";
  std::string begun = "continue";
  std::string max_tokens_field = "max_tokens";
  std::vector<std::string> omit;
  std::string extra;
  PacingConfig pacing;
  HttpConfig http;

  void visit(auto& v) {
    v("url", url, "Base of an OpenAI-compatible endpoint: http://127.0.0.1:8000/v1 (openai).");
    v("api", api, "URL/chat/completions, or URL/completions with the chat template's text.",
      {"chat", "completions"});
    v("key-env", key_env, "Environment variable with the key; it is never written or logged.");
    v("begun", begun,
      "How an answer that has begun is asked to go on (chat): continue_final_message as vLLM and "
      "SGLang know it, or an assistant message at the end alone.",
      {"continue", "prefill"});
    v("max-tokens-field", max_tokens_field, "What the endpoint calls the limit of a reply.",
      {"max_tokens", "max_completion_tokens"});
    v("omit", omit, "Request fields that the endpoint refuses: seed, temperature, stop, ...");
    v("extra", extra, "Further request fields, a JSON object: {\"reasoning_effort\": \"low\"}.");
    pacing.visit(v);
    http.visit(v);
  }
};

}  // namespace reflect
