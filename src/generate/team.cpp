#include "reflect/generate/team.h"

#include <algorithm>

#include "reflect/base/error.h"
#include "reflect/base/signals.h"
#include "reflect/data/record.h"

namespace reflect {
namespace {

// Of each rank between two exchanges: so many requests and batches that rows can take free places.
constexpr std::size_t kRequestsOfRank = 256, kBatchesOfRank = 4;

Json json_of(const SamplingConfig& sampling) {
  return {sampling.temperature,        sampling.top_p,          sampling.top_k, sampling.min_p,
          sampling.repetition_penalty, sampling.max_new_tokens, sampling.stop};
}

SamplingConfig sampling_from(const Json& json) {
  return {json.at(0), json.at(1), json.at(2), json.at(3), json.at(4), json.at(5), json.at(6)};
}

Json json_of(const GenerateRequest& request) {
  return {request.prompt_ids, json_of(request.sampling), request.seed, request.end_ids,
          request.banned_text};
}

GenerateRequest request_from(const Json& json) {
  return {json.at(0), sampling_from(json.at(1)), json.at(2), json.at(3), json.at(4)};
}

Json json_of(std::size_t index, const Completion& completion) {
  return {index, completion.ids, completion.text, static_cast<int>(completion.finish),
          completion.log_probability};
}

Completion completion_from(const Json& json) {
  return {json.at(1), json.at(2), static_cast<FinishReason>(json.at(3).get<int>()), json.at(4)};
}

// Not as text: an answer that was cut off need not be UTF-8.
std::string packed(const Json& json) {
  const std::vector<std::uint8_t> bytes = Json::to_msgpack(json);
  return {bytes.begin(), bytes.end()};
}

}  // namespace

Team::Team(ProcessGroup group, std::vector<const Engine*> engines)
    : group_(std::move(group)), engines_(std::move(engines)) {}

std::size_t Team::add(const Engine& engine) {
  engines_.push_back(&engine);
  return engines_.size() - 1;
}

std::vector<Completion> Team::generate(const std::vector<GenerateRequest>& requests,
                                       const Done& on_done, std::size_t number) {
  const Engine& engine = *engines_.at(number);
  if (group_.size() == 1) return engine.generate(requests, on_done);
  asking_ = true;
  std::vector<Completion> completions(requests.size());
  const auto batch_rows = static_cast<std::size_t>(engine.config().max_batch_rows);
  const std::size_t at_once = std::max(kRequestsOfRank, kBatchesOfRank * batch_rows) *
                              static_cast<std::size_t>(group_.size());
  for (std::size_t begin = 0; begin < requests.size(); begin += at_once) {
    const std::size_t end = std::min(requests.size(), begin + at_once);
    const std::vector<GenerateRequest> asked(requests.begin() + static_cast<std::ptrdiff_t>(begin),
                                             requests.begin() + static_cast<std::ptrdiff_t>(end));
    Json json = {number, Json::array()};
    for (const GenerateRequest& request : asked) json[1].push_back(json_of(request));
    group_.all_texts(packed(json));
    complete_share(asked, number, [&](std::size_t i, const Completion& completion) {
      if (on_done) on_done(begin + i, completion);
      completions[begin + i] = completion;
    });
  }
  asking_ = false;
  return completions;
}

void Team::dismiss() {
  if (!asking_) group_.all_texts("");
}

void Team::serve() {
  for (;;) {
    const std::string asked = group_.all_texts("").front();
    if (asked.empty()) return;
    const Json json = Json::from_msgpack(asked);
    std::vector<GenerateRequest> requests;
    for (const Json& request : json.at(1)) requests.push_back(request_from(request));
    complete_share(requests, json.at(0), [](std::size_t, const Completion&) {});
  }
}

// Rank r of n completes every n-th request from the r-th on; all then get what each has done.
void Team::complete_share(const std::vector<GenerateRequest>& requests, std::size_t number,
                          const Done& on_done) {
  const Engine& engine = *engines_.at(number);
  const auto ranks = static_cast<std::size_t>(group_.size());
  std::vector<std::size_t> own;
  std::vector<GenerateRequest> share;
  for (auto i = static_cast<std::size_t>(group_.rank()); i < requests.size(); i += ranks) {
    own.push_back(i);
    share.push_back(requests[i]);
  }
  Json mine = Json::array();
  try {
    engine.generate(share, [&](std::size_t i, const Completion& completion) {
      on_done(own[i], completion);
      if (group_.rank() > 0) mine.push_back(json_of(own[i], completion));
    });
  } catch (const Error&) {
    if (signal_received() == 0) throw;  // else all are told of it below
  }
  engine.model().weights().leave();
  for (const std::string& text : group_.all_texts(packed(mine)))
    for (const Json& done : Json::from_msgpack(text)) on_done(done.at(0), completion_from(done));
  if (const auto signal = static_cast<int>(group_.max(signal_received())); signal != 0) {
    note_signal(signal);
    throw Error(fmt::format("[generate] ended by signal {}; finished rows are kept", signal),
                static_cast<ExitCode>(128 + signal));
  }
}

}  // namespace reflect
