// Models that are asked for text: what a request is, what comes back, and how many may be under
// way.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "reflect/data/chat.h"
#include "reflect/generate/engine.h"
#include "reflect/generate/sampling.h"
#include "reflect/model/base_config.h"
#include "reflect/recipes/endpoint.h"

namespace reflect {

// What tokens cost; 0: nothing, or not known.
struct PriceConfig {
  double prompt = 0;
  double completion = 0;

  void visit(auto& v) {
    v("prompt", prompt, "US dollars for a million prompt tokens.");
    v("completion", completion, "US dollars for a million completion tokens, reasoning included.");
  }
};

// Everything that shapes a reply, but for what Teacher::identity says.
struct TeacherRequest {
  std::vector<Message> messages;
  std::string begun;        // what the assistant has already said; the reply goes on behind it
  SamplingConfig sampling;  // max_new_tokens and stop included
  std::uint64_t seed = 0;   // keys this draw: a teacher that can repeat itself does for equal ones
  std::uint64_t draw = 0;   // index among the draws of one prompt; told apart in the run store
};

enum class ReplyFinish {
  kEnd,            // the model ended its turn
  kStop,           // at one of the stop strings, which the text does not hold
  kLength,         // cut at max_new_tokens or at the end of the context
  kPromptTooLong,  // the prompt leaves no room: nothing was written
  kRefusal,        // the model or its provider declined (content filter, refusal field)
  kFailed,         // no reply; see `failure`
};
std::string_view name_of(ReplyFinish finish);           // "end", "stop", "length", ...
ReplyFinish reply_finish_named(std::string_view name);  // Error for another name

struct TeacherReply {
  std::string text;       // what was written after `begun`, as it came; may be empty
  std::string reasoning;  // the reply's own reasoning field, where the server has one
  ReplyFinish finish = ReplyFinish::kEnd;
  std::int64_t prompt_tokens = 0;      // as counted by whoever answers; 0: not told
  std::int64_t completion_tokens = 0;  // reasoning included
  std::int64_t attempts = 1;           // tries that this reply took
  // Of kFailed: what went wrong, in the server's words and on one line, and whether the same
  // request may succeed in a later run (a time-out, an overload that outlasted all tries) or never
  // (this one request is not acceptable). What stops every request is thrown by `take`.
  std::string failure;
  bool may_succeed_later = false;
};

struct FinishedRequest {
  std::uint64_t ticket;
  TeacherReply reply;
};

// Asynchronous in shape and used by one thread: submit many, take the finished ones in any order.
// Tries again, waits and limits rates inside; a reply comes once for each ticket.
class Teacher {
 public:
  virtual ~Teacher() = default;
  // What shapes replies besides the request (the checkpoint's files, the endpoint's kind and model
  // name), as text without secrets that stays the same over runs: part of a stored reply's key.
  virtual std::string identity() const = 0;
  // How many requests may be under way now, at least 1; it may change from call to call.
  virtual std::size_t capacity() const = 0;
  virtual std::size_t in_flight() const = 0;
  // Call it only while in_flight() < capacity(). `ticket` is unique among those under way.
  virtual void submit(std::uint64_t ticket, TeacherRequest request) = 0;
  // Finished requests. Waits until there is one, `wait` is over or a signal came (base/signals.h);
  // returns at once when none is under way. Throws Error where no request can succeed any more (a
  // refused key, an unknown model), after all finished ones were taken.
  virtual std::vector<FinishedRequest> take(std::chrono::milliseconds wait) = 0;
  // What was out of the ordinary so far, by name: tries again, strange replies.
  virtual std::map<std::string, std::int64_t> counts() const { return {}; }
};

// One teacher; a run may have several, which steps choose by `name`.
struct TeacherConfig {
  std::string name;
  std::string kind = "replay";
  std::string model;
  std::string adapter;
  BaseConfig base;
  PlacementConfig placement;
  std::string template_name = "auto";
  std::int64_t samples = 1;
  SamplingConfig sampling = {.temperature = 0.7, .max_new_tokens = 1024, .stop = {}};
  PriceConfig price;
  EngineConfig engine;
  EndpointConfig endpoint;

  void visit(auto& v) {
    v("name", name, "What the steps of a recipe call it; empty: the one for all other steps.");
    v("kind", kind, "Who solves: recorded solutions, generated ones, a model here, or an endpoint.",
      {"replay", "procedural", "local", "openai"});
    v("model", model, "Checkpoint folder (local) or the model's name at the endpoint (openai).");
    v("adapter", adapter, "Adapter folder (local).");
    v("base", base, "");
    placement.visit(v);
    v("template", template_name, "Chat template (local); auto: the checkpoint's own.");
    v("samples", samples, "Solutions to draw of each problem (step draw).");
    v("sampling", sampling, "");
    v("price", price, "");
    v("engine", engine, "");
    endpoint.visit(v);
  }
};

// Whether a teacher is a model that is asked (local, openai) and not a source of solutions.
bool is_asked(const TeacherConfig& config);

}  // namespace reflect
