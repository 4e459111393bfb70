// The decoding loop: admit rows into free cache slots, feed the model, let each row take a token.
#include "reflect/generate/engine.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/logsumexp.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <optional>

#include "generate/decoding_row.h"
#include "generate/schedule.h"
#include "reflect/base/error.h"
#include "reflect/base/signals.h"

namespace reflect {
namespace {

using Ids = std::vector<std::int32_t>;

// Tokens that one row gives to a forward pass.
struct Feed {
  std::int64_t slot;
  std::int64_t past;
  Ids ids;
};

// What follows each row's last token.
struct NextLogits {
  at::Tensor logits;       // [rows, vocab], fp32 on the CPU
  at::Tensor normalizers;  // [rows], their log-sum-exp
};

at::Tensor tensor_of(std::vector<std::int64_t>& values, at::Device device) {
  return at::from_blob(values.data(), {static_cast<std::int64_t>(values.size())}, at::kLong)
      .to(device, at::kLong, false, /*copy=*/true);
}

std::int64_t prompt_tokens(const GenerateRequest& request) {
  return static_cast<std::int64_t>(request.prompt_ids.size());
}

// The state of one call of Engine::generate, on requests that fit into the window.
class BatchDecoding {
 public:
  BatchDecoding(const Llama& model, const Tokenizer& tokenizer, const Adapter* adapter,
                const EngineConfig& config, const std::vector<const GenerateRequest*>& requests)
      : model_(model),
        tokenizer_(tokenizer),
        adapter_(adapter),
        requests_(requests),
        window_(model.config().max_position_embeddings),
        slots_(std::min<std::int64_t>(config.max_batch_rows, requests.size())),
        schedule_(prompt_lengths(), slots_, config.max_prefill_tokens),
        cache_(model.config(), slots_, longest_row(), model.runtime()),
        rows_(slots_) {}

  // One pass of the model over all rows and one token for each: the active ones and those that take
  // the free slots. Returns the finished ones; nothing when no row is left.
  std::optional<std::vector<std::pair<std::size_t, Completion>>> step() {
    std::vector<Feed> feeds = active_rows();
    add_newcomers(feeds);
    if (feeds.empty()) return std::nullopt;
    advance(feeds, forward(feeds));
    return take_finished(feeds);
  }

 private:
  struct ActiveRow {
    std::size_t request;
    DecodingRow row;
  };

  std::vector<std::int64_t> prompt_lengths() const {
    std::vector<std::int64_t> lengths;
    for (const GenerateRequest* request : requests_) lengths.push_back(prompt_tokens(*request));
    return lengths;
  }

  std::int64_t longest_row() const {
    std::int64_t longest = 1;
    for (const GenerateRequest* request : requests_) {
      longest = std::max(longest, prompt_tokens(*request) + request->sampling.max_new_tokens);
    }
    return std::min(longest, window_);
  }

  void add_newcomers(std::vector<Feed>& feeds) {
    for (const auto& [request, slot] : schedule_.admit()) {
      rows_[slot].emplace(
          ActiveRow{request, DecodingRow(*requests_[request], tokenizer_, window_)});
      feeds.push_back({slot, 0, requests_[request]->prompt_ids});
    }
  }

  std::vector<Feed> active_rows() const {
    std::vector<Feed> feeds;
    for (std::int64_t slot = 0; slot < slots_; ++slot) {
      if (!rows_[slot]) continue;
      const DecodingRow& row = rows_[slot]->row;
      feeds.push_back({slot, row.position(), {row.last_id()}});
    }
    return feeds;
  }

  NextLogits forward(const std::vector<Feed>& feeds) {
    PackedRows packed;
    std::vector<std::int64_t> ids;
    std::vector<std::int64_t> last;
    packed.offsets.push_back(0);
    for (const Feed& feed : feeds) {
      ids.insert(ids.end(), feed.ids.begin(), feed.ids.end());
      packed.offsets.push_back(static_cast<std::int64_t>(ids.size()));
      packed.past.push_back(feed.past);
      packed.slots.push_back(feed.slot);
      last.push_back(static_cast<std::int64_t>(ids.size()) - 1);
    }
    const at::Device device = model_.runtime().device;
    at::Tensor hidden =
        model_.hidden(tensor_of(ids, device), packed, {.adapter = adapter_, .cache = &cache_});
    if (ids.size() != feeds.size()) hidden = hidden.index_select(0, tensor_of(last, device));
    at::Tensor logits = model_.logits(hidden, adapter_).to(at::kCPU, at::kFloat).contiguous();
    at::Tensor normalizers = at::logsumexp(logits, 1);
    return {std::move(logits), std::move(normalizers)};
  }

  void advance(const std::vector<Feed>& feeds, const NextLogits& next) {
    const std::int64_t vocabulary = next.logits.size(1);
    const float* logits = next.logits.const_data_ptr<float>();
    const float* normalizers = next.normalizers.const_data_ptr<float>();
    at::parallel_for(0, static_cast<std::int64_t>(feeds.size()), 1, [&](auto begin, auto end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const std::span row_logits(logits + i * vocabulary, static_cast<std::size_t>(vocabulary));
        rows_[feeds[i].slot]->row.advance(row_logits, normalizers[i]);
      }
    });
  }

  std::vector<std::pair<std::size_t, Completion>> take_finished(const std::vector<Feed>& feeds) {
    std::vector<std::pair<std::size_t, Completion>> finished;
    for (const Feed& feed : feeds) {
      std::optional<ActiveRow>& active = rows_[feed.slot];
      if (!active->row.done()) continue;
      finished.emplace_back(active->request, active->row.completion());
      active.reset();
      schedule_.release(feed.slot);
    }
    return finished;
  }

  const Llama& model_;
  const Tokenizer& tokenizer_;
  const Adapter* adapter_;
  const std::vector<const GenerateRequest*>& requests_;
  std::int64_t window_;
  std::int64_t slots_;
  Schedule schedule_;
  KvCache cache_;
  std::vector<std::optional<ActiveRow>> rows_;  // by slot
};

void validate(const std::vector<GenerateRequest>& requests) {
  for (std::size_t i = 0; i < requests.size(); ++i) {
    validate(requests[i].sampling);
    if (requests[i].prompt_ids.empty()) {
      fail("generate", "request {} has no prompt ids; give at least BOS", i);
    }
    for (const std::string& banned : requests[i].banned_text) {
      if (banned.empty()) fail("generate", "request {} bans the empty string; remove it", i);
    }
  }
}

}  // namespace

std::string_view name_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::kEnd:
      return "end";
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kPromptTooLong:
      return "prompt_too_long";
  }
  fail("generate", "unknown finish reason {}", static_cast<int>(reason));
}

Engine::Engine(const Llama& model, const Tokenizer& tokenizer, EngineConfig config,
               const Adapter* adapter)
    : model_(model), tokenizer_(tokenizer), config_(config), adapter_(adapter) {
  if (config_.max_batch_rows < 1 || config_.max_prefill_tokens < 1) {
    fail_usage("generate",
               "max_batch_rows is {} and max_prefill_tokens is {}; both must be positive",
               config_.max_batch_rows, config_.max_prefill_tokens);
  }
}

std::vector<Completion> Engine::generate(
    const std::vector<GenerateRequest>& requests,
    const std::function<void(std::size_t, const Completion&)>& on_done) const {
  const c10::InferenceMode guard;
  validate(requests);
  std::vector<Completion> completions(requests.size());
  const auto finish = [&](std::size_t index, Completion completion) {
    if (on_done) on_done(index, completion);
    completions[index] = std::move(completion);
  };
  std::vector<std::size_t> indices;  // of the requests that fit
  std::vector<const GenerateRequest*> fitting;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    if (prompt_tokens(requests[i]) >= model_.config().max_position_embeddings) {
      Completion nothing;
      nothing.finish = FinishReason::kPromptTooLong;
      finish(i, std::move(nothing));
    } else {
      indices.push_back(i);
      fitting.push_back(&requests[i]);
    }
  }
  if (fitting.empty()) return completions;
  BatchDecoding decoding(model_, tokenizer_, adapter_, config_, fitting);
  while (auto finished = decoding.step()) {
    for (auto& [request, completion] : *finished) finish(indices[request], std::move(completion));
    if (const int signal = signal_received()) {
      throw Error(fmt::format("[generate] ended by signal {}; finished rows are kept", signal),
                  static_cast<ExitCode>(128 + signal));
    }
  }
  return completions;
}

}  // namespace reflect
